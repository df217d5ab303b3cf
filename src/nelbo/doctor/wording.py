"""How the report writes numbers: with a proper minus sign, no more digits than help, and words where there is none."""

from __future__ import annotations

import math
import re

__all__ = ["bits", "count", "nats", "part_word", "percent", "plain", "signed"]

NOTHING = "\u2013"  # an en dash: no such figure
MINUS = "\u2212"


def nats(value: float | None) -> str:
    """A figure in nats or bits: two decimals below a thousand, one below ten thousand, none above."""
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return "not finite"
    digits = 2 if abs(value) < 1_000 else 1 if abs(value) < 10_000 else 0
    return _minus(f"{value:,.{digits}f}")


def bits(value: float | None) -> str:
    """A figure in bits per dimension, to three decimals."""
    return nats(value) if value is None or not math.isfinite(value) else _minus(f"{value:,.3f}")


def signed(value: float | None) -> str:
    """A difference, its sign always written."""
    text = nats(value)
    return f"+{text}" if value is not None and math.isfinite(value) and value > 0 else text


def plain(value: float | None, digits: int = 3) -> str:
    """Any number to some significant digits."""
    if value is None:
        return NOTHING
    if not math.isfinite(value):
        return "not finite"
    return _minus(re.sub(r"e([+-])0+", r"e\1", f"{value:.{digits}g}"))


def percent(share: float) -> str:
    """A share as a percentage."""
    if not math.isfinite(share):
        return "not finite"
    digits = 0 if share >= 0.1 or share == 0 else 1
    return _minus(f"{100 * share:.{digits}f}\u00a0%")  # the sign stays with its number


def count(number: int, one: str, many: str | None = None) -> str:
    """`3 rows`, `1 row`, `12,000 rows`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def part_word(layout: str) -> str:
    """What one datum is called."""
    return "image" if layout == "image" else "row"


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
