"""Charts of measures: what is drawn for each kind of chart."""

from __future__ import annotations

import re

import pytest

from nelbo.evaluate.measure import Chart
from nelbo.report.charts import of_a_measure

SERIES = {"one": [(0.0, 1.0), (1.0, 2.0), (2.0, 0.5)], "two": [(0.0, 0.4), (1.0, 0.1), (2.0, 0.3)]}


def drawn(chart: Chart) -> str:
    return str(of_a_measure(vars(chart)))


def marks(svg: str) -> int:
    """Markers, drawn once and used by reference; those of the legend are among them."""
    return len(re.findall(r"<use [^>]*href=", svg))


def test_points_are_markers_without_a_line() -> None:
    lines, points = (drawn(Chart(kind, "x", "y", SERIES)) for kind in ("lines", "points"))
    assert "one" in points
    assert "two" in points
    assert marks(points) >= 6
    assert points.count("<path") < lines.count("<path")  # the lines are what is missing


def test_a_band_is_shaded_and_old_findings_have_none() -> None:
    plain, banded = drawn(Chart("lines", "x", "y", SERIES)), drawn(Chart("lines", "x", "y", SERIES, band=(0.8, 1.2)))
    assert banded.count("fill: var(--grid)") == plain.count("fill: var(--grid)") + 1
    kept = {name: value for name, value in vars(Chart("lines", "x", "y", SERIES)).items() if name != "band"}
    assert str(of_a_measure(kept)) == plain


@pytest.mark.parametrize("kind", ["lines", "bars", "points"])
def test_what_a_chart_shows_is_said_in_words(kind: str) -> None:
    assert 'aria-label="what it shows"' in str(of_a_measure({**vars(Chart("bars", "", "y", SERIES)), "kind": kind,
                                                             "words": "what it shows"}))  # fmt: skip
