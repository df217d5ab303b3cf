"""What was measured besides the likelihood (`nelbo evaluate RUN --measure NAME`)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nelbo.doctor.wording import count, nats, plain
from nelbo.report.charts import of_a_measure
from nelbo.report.html import Markup, element, figure, join, section, table
from nelbo.report.subject import Subject

__all__ = ["measures"]

LARGE = 100.0  # from where four digits leave out the hundredths that figures in nats differ by


def measures(subject: Subject) -> Markup:
    """Each finding with its table, its notes and its charts; nothing where nothing was measured."""
    if not subject.measures:
        return Markup("")
    return section("measures", "Measures", *(_finding(found) for found in subject.measures.values()))


def _finding(found: Mapping[str, Any]) -> Markup:
    rows = found["rows"]
    numeric = [i for i in range(len(found["columns"])) if any(isinstance(row[i], int | float) for row in rows)]
    return join(
        [
            element("h3", found["title"]),
            table(found["columns"], [[_cell(cell) for cell in row] for row in rows], numeric),
            *(element("p", note, class_="note") for note in found["notes"]),
            *(figure(of_a_measure(chart), chart["words"]) for chart in found["charts"]),
        ]
    )


def _cell(value: object) -> str:
    if isinstance(value, float) and LARGE <= abs(value) < math.inf:
        return nats(value)
    if isinstance(value, float) or value is None:
        return plain(value, 4)
    return count(value, "").strip() if isinstance(value, int) else str(value)
