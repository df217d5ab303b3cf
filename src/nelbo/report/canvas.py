"""The paper that charts are drawn on: matplotlib without a screen, as SVG that takes its colours from the page.

Charts are drawn in stand-in colours, which become the page's own (`var(--c1)`, `currentColor`) in the SVG: so one
drawing reads well on light and on dark.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nelbo.report.html import Markup

__all__ = [
    "CLASSES", "FAINT", "FIRST", "GRID", "INK", "PAGE", "SECOND", "SOFT", "THIRD", "WIDTH",
    "as_file", "as_svg", "drawing", "tidy",
]  # fmt: skip

INK, SOFT, FAINT, GRID, PAGE = "#0a0b01", "#0a0b02", "#0a0b03", "#0a0b04", "#0a0b05"
FIRST, SECOND, THIRD = "#0a0b06", "#0a0b07", "#0a0b08"
CLASSES = tuple(f"#0a0c{place:02x}" for place in range(10))
WIDTH = 9.7  # inches of 72 points; a chart of this width fills the page at its natural size

_PAGE_COLOURS = {
    INK: "currentColor", SOFT: "var(--soft)", FAINT: "var(--faint)", GRID: "var(--grid)", PAGE: "var(--page)",
    FIRST: "var(--c1)", SECOND: "var(--c2)", THIRD: "var(--c3)",
    **{colour: f"var(--k{place})" for place, colour in enumerate(CLASSES)},
}  # fmt: skip
_NEEDLESS = (
    r"<metadata>.*?</metadata>",
    r"<style[^>]*>\*\{[^<]*</style>",  # it would reach beyond this drawing
    r"<!--.*?-->",
    r' xmlns(:\w+)?="[^"]*"',
    r'(?<=<g) id="[^"]*"',  # the same in every drawing, and nothing refers to them
)
_SETTINGS: Any = {  # matplotlib types its keys one by one
    "svg.fonttype": "none",  # text stays text: it can be selected, searched and read aloud
    "svg.hashsalt": "nelbo",  # the same drawing has the same bytes
    "text.parse_math": False,  # a name may hold dollar signs
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "text.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}


@contextmanager
def drawing(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of some inches, with the report's settings in force while it is drawn."""
    with mpl.rc_context(_SETTINGS):
        yield Figure(figsize=(width, height), layout="constrained")


def tidy(axes: Axes, grid: str = "y") -> None:
    """Grid lines along one axis only (`x`, `y`, or neither for an empty word)."""
    axes.grid(False)
    if grid:
        axes.grid(True, axis="x" if grid == "x" else "y")


def as_svg(figure: Figure, alternative: str) -> Markup:
    """The drawing as an SVG element for a page; `alternative` says in words what it shows."""
    file = io.StringIO()
    with mpl.rc_context(_SETTINGS), warnings.catch_warnings():
        # The page's fonts draw the text, so it does not matter which glyphs matplotlib's own font has.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(file, format="svg", metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    for needless in _NEEDLESS:
        text = re.sub(needless, "", text, flags=re.DOTALL)
    text = re.sub(r"font(?:-family)?: [^;\"]*'[^\"]*?(?=[;\"])", _without_family, text)
    for stand_in, colour in _PAGE_COLOURS.items():
        text = text.replace(stand_in, colour)
    width = figure.get_figwidth() * 96  # CSS pixels
    opening = f'<svg role="img" aria-label="{html.escape(alternative)}" style="max-width: {width:.0f}px"'
    text = text.replace("<svg", opening, 1).replace("xlink:href", "href")
    return Markup(re.sub(r"\s*\n\s*", "\n", text).strip())


def as_file(figure: Figure, alternative: str) -> str:
    """The drawing as the text of an SVG file, in the colours of a light page, on white: nothing else gives it any."""
    style = files("nelbo.report").joinpath("style.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"--([\w]+): (#\w+);", style[: style.index("@media")]))
    text = re.sub(r"var\(--(\w+)\)", lambda found: light[found[1]], str(as_svg(figure, alternative)))
    text = text.replace("currentColor", light["ink"])
    opening = '<svg xmlns="http://www.w3.org/2000/svg" font-family="sans-serif"'
    text = text.replace("<svg", opening, 1).replace(
        'style="max-width', f'style="background: {light["page"]}; max-width', 1
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _without_family(found: re.Match[str]) -> str:
    """`font: 8.5px 'DejaVu Sans', ...` keeps its size; the family comes from the page."""
    size = re.search(r"([\d.]+)px", found[0])
    weight = "; font-weight: 650" if re.search(r"\b(bold|700)\b", found[0]) else ""
    return f"font-size: {size[1]}px{weight}" if size is not None else "font-style: normal"
