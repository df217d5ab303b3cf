"""The curves of a record, drawn as one SVG file beside it."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from nelbo.reproduce.record import CURVE
from nelbo.storage import write_text

COLOURS = ("#3b6ea5", "#c2571a", "#4f8a4c", "#8a4f8a", "#8c6d31", "#4a4a4a")
SETTINGS: Any = {
    "svg.hashsalt": "nelbo",  # the same drawing has the same bytes
    "svg.fonttype": "none",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "axes.titlesize": 9,
    "legend.frameon": False,
}
Curves = dict[str, dict[str, list[tuple[float, float, float]]]]  # panel -> series -> (x, mean, sd)


def curves(record: Mapping[str, Any]) -> Curves:
    """The figures of a record that are points of curves."""
    found: Curves = {}
    for row in record["figures"]:
        match = CURVE.fullmatch(row["name"])
        if match is not None:
            series = found.setdefault(match["panel"], {}).setdefault(match["series"], [])
            series.append((float(match["x"]), float(row["mean"]), float(row["sd"] or 0.0)))
    return found


def draw_curves(record: Mapping[str, Any], path: Path) -> bool:
    """Write the drawing of a record's curves; False where it has none."""
    found, chart = curves(record), record.get("chart")
    if not found or not chart:
        return False
    names = list(dict.fromkeys(name for panel in found.values() for name in panel))
    colours = _colours(names)
    across = min(3, len(found))
    down = math.ceil(len(found) / across)
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(3.2 * across, 2.4 * down + 0.4), layout="constrained")
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes, (panel, series) in zip(panels, found.items(), strict=False):
            for name, points in series.items():
                x, y, sd = zip(*points, strict=True)
                dashes = "--" if "(test)" in name else "-"
                axes.plot(x, y, dashes, color=colours[name], label=name, linewidth=1.3)
                if any(sd):
                    low = [mean - spread for mean, spread in zip(y, sd, strict=True)]
                    high = [mean + spread for mean, spread in zip(y, sd, strict=True)]
                    axes.fill_between(x, low, high, color=colours[name], alpha=0.15, linewidth=0)
            axes.set_title(panel)
            axes.set_xscale("log" if chart["logarithmic"] else "linear")
            axes.set_yscale("log" if chart["logarithmic_y"] else "linear")
            axes.set_xlabel(chart["x"])
        for axes in panels[len(found) :]:
            axes.set_axis_off()
        for row in range(down):
            panels[row * across].set_ylabel(chart["y"])
        handles = {line.get_label(): line for axes in panels for line in axes.get_lines()}
        figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=4)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None}, facecolor="white")
    write_text(path, file.getvalue())
    return True


def _colours(names: list[str]) -> dict[str, str]:
    """One colour a method: training and test curves share it."""
    methods = list(dict.fromkeys(name.partition(" (")[0] for name in names))
    return {name: COLOURS[methods.index(name.partition(" (")[0]) % len(COLOURS)] for name in names}
