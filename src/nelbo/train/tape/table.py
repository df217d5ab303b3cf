"""A reading as a table of plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nelbo.train.tape.readings import Reading, Slope

HEADER = ("parameters", "term", "norm", "snr", "zeros")


def table(reading: Reading) -> str:
    """Norm, signal-to-noise ratio and zeros of each term at each group of parameters, then cosines."""
    rows = [
        (group, term, f"{slope.norm:.3g}", _snr(slope), f"{slope.zeros:.0%}")
        for group, slopes in reading.slopes.items()
        for term, slope in slopes.items()
    ]
    values = ", ".join(f"{term} {value:.4g}" for term, value in reading.terms.items())
    lines = [f"phase {reading.phase}, {reading.rows} rows in {reading.row_groups} groups; {values}", *_aligned(rows)]
    for group, cosines in reading.cosines.items():
        known = [f"{one} and {other} {cosine:+.2f}" for (one, other), cosine in cosines.items() if cosine is not None]
        if known:
            lines.append(f"cosines at {group}: {', '.join(known)}")
    return "\n".join(lines)


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in (HEADER, *rows)) for i in range(len(HEADER))]
    return [
        "  ".join(
            cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in (HEADER, *rows)
    ]


def _snr(slope: Slope) -> str:
    if slope.snr is None:
        return "-"
    return f"{slope.snr:.1f}" if math.isfinite(slope.snr) else "inf"
