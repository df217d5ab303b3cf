"""The charts of numbers: curves over epochs, bars, histograms, the estimate against its samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from nelbo.doctor.history import History
from nelbo.doctor.thresholds import ENOUGH
from nelbo.doctor.wording import nats, plain
from nelbo.report.canvas import FAINT, FIRST, GRID, INK, SECOND, SOFT, THIRD, WIDTH, as_svg, drawing, tidy
from nelbo.report.html import Markup

__all__ = ["column_bars", "column_histograms", "estimate_curve", "of_a_measure", "rate_bars", "training_curves"]

Array = npt.NDArray[np.float64]

STEEP = 0.1  # share of the epochs, at the start, that may leave the frame
FEW_VALUES = 40  # distinct whole numbers that get a bar each
BINS = 36


def training_curves(history: History) -> Markup:
    """Bound, likelihood, KL, and the course of learning rate and weights, against epochs; the best epoch is marked."""
    with drawing(WIDTH, 5.2) as figure:
        bound, likelihood, kl, schedule = figure.subplots(2, 2, sharex=True).ravel()
        _pair(bound, history, "bound", "Bound (nats)")
        _pair(likelihood, history, "likelihood", "Likelihood, E log p(x | z) (nats)")
        _pair(kl, history, "kl", "KL(q || p) (nats)")
        _schedules(schedule, history)
        best = history.best_epoch
        measured = bound if bound.lines else likelihood
        for axes in (bound, likelihood, kl, schedule):
            if best is not None:
                axes.axvline(best, color=FAINT, linewidth=1, linestyle=(0, (3, 2)), zorder=0)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
            if len(history) == 1:
                axes.set_xlim(history.epochs[0] - 1, history.epochs[0] + 1)
        if best is not None:
            late = best > 0.8 * history.epochs[-1]
            measured.annotate(
                f"best epoch {best}",
                (best, 0.03),
                xycoords=("data", "axes fraction"),
                xytext=(-4 if late else 4, 0),
                textcoords="offset points",
                ha="right" if late else "left",
                color=SOFT,
            )
        kl.set_xlabel("epoch")
        schedule.set_xlabel("epoch")
        if history.has_validation:
            measured.legend(loc="lower right", bbox_to_anchor=(1.0, 0.1), handlelength=1.4)
        return as_svg(figure, _curves_in_words(history))


def rate_bars(kl: Sequence[float], is_active: Sequence[bool], most: int = 80) -> Markup:
    """KL of each latent, the largest first; active ones in colour."""
    order = sorted(range(len(kl)), key=lambda latent: -kl[latent])[:most]
    with drawing(WIDTH, 2.5) as figure:
        axes = figure.subplots()
        colours = [FIRST if is_active[latent] else FAINT for latent in order]
        # A few latents would make bars as broad as the page.
        room = max(len(order), 12)
        axes.bar(range(len(order)), [kl[latent] for latent in order], color=colours, width=0.78)
        axes.set_xlim(-0.6, room - 0.4)
        step = max(1, math.ceil(len(order) / 40))
        axes.set_xticks(range(0, len(order), step), [f"{order[place] + 1}" for place in range(0, len(order), step)])
        axes.set_xlabel("latent")
        axes.set_ylabel("mean KL (nats)")
        tidy(axes)
        active = sum(is_active)
        words = f"KL of each latent in nats, sorted: {active} of {len(kl)} active, the largest {nats(max(kl))}"
        return as_svg(figure, words)


def estimate_curve(by_samples: Mapping[int, float]) -> Markup:
    """The log-likelihood estimate against the number of importance samples."""
    counts = sorted(by_samples)
    with drawing(WIDTH * 0.5, 2.3) as figure:
        axes = figure.subplots()
        axes.plot(counts, [by_samples[k] for k in counts], color=FIRST, marker="o", markersize=4)
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{k:,}" for k in counts])
        axes.minorticks_off()
        axes.margins(x=0.08, y=0.15)
        axes.set_xlabel("importance samples K")
        axes.set_ylabel("log-likelihood (nats)")
        tidy(axes)
        rise = nats(by_samples[counts[-1]] - by_samples[counts[0]])
        return as_svg(figure, f"The estimate rises by {rise} nats from K = {counts[0]} to K = {counts[-1]}")


def of_a_measure(chart: Mapping[str, Any]) -> Markup:
    """The chart of a finding, as `nelbo.evaluate.measure.Chart` holds it: lines with markers, points,
    or bars side by side."""
    series: Mapping[str, Sequence[Sequence[float]]] = chart["series"]
    colours = (FIRST, SECOND, THIRD, INK, FAINT)
    with drawing(WIDTH * 0.6, 2.6) as figure:
        axes = figure.subplots()
        if chart.get("band"):
            axes.axhspan(*chart["band"], color=GRID, zorder=0)
        for place, (name, points) in enumerate(series.items()):
            x, y = [point[0] for point in points], [point[1] for point in points]
            colour = colours[place % len(colours)]
            if chart["kind"] == "bars":
                width = 0.8 / len(series)
                axes.bar([at + (place - (len(series) - 1) / 2) * width for at in x], y, width, color=colour, label=name)
            elif chart["kind"] == "points":
                axes.plot(x, y, color=colour, marker="o", markersize=2.5, linestyle="none", alpha=0.6, label=name)
            else:
                axes.plot(x, y, color=colour, marker="o", markersize=3.5, label=name)
        if chart["ticks"]:
            axes.set_xticks(range(len(chart["ticks"])), [shortened(str(tick), 16) for tick in chart["ticks"]])
        axes.set_xlabel(chart["x"])
        axes.set_ylabel(chart["y"])
        tidy(axes)
        if len(series) > 1:
            figure.legend(loc="outside upper left", ncols=4, handlelength=1.4)
        return as_svg(figure, chart["words"] or f"{chart['y']} against {chart['x']}")


def column_bars(names: Sequence[str], shares: Sequence[float], title: str) -> Markup:
    """R squared of columns as bars to the right, those below zero cut off at it."""
    with drawing(WIDTH * 0.5, 0.62 + 0.19 * len(names)) as figure:
        axes = figure.subplots()
        places = np.arange(len(names))[::-1]
        axes.barh(places, [max(0.0, share) for share in shares], color=FIRST, height=0.7)
        for place, share in zip(places, shares, strict=True):
            axes.text(max(0.0, share) + 0.015, place, plain(share, 2), va="center", color=SOFT, fontsize=8)
        axes.set_yticks(places, [shortened(name, 26) for name in names])
        axes.set_xlim(0, 1.12)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1.0])
        axes.set_title(title)
        tidy(axes, "x")
        said = ", ".join(f"{name} {plain(share, 2)}" for name, share in zip(names, shares, strict=True))
        return as_svg(figure, f"{title}: {said}")


def column_histograms(names: Sequence[str], data: Array, drawn: Array, distances: Sequence[float]) -> Markup:
    """Values of columns in the data and in samples from the model, `[N, D]` each, one panel a column."""
    across = min(4, len(names))
    down = math.ceil(len(names) / across)
    with drawing(WIDTH * across / 4, 0.35 + 1.55 * down) as figure:
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for place, axes in enumerate(panels):
            if place >= len(names):
                axes.set_axis_off()
                continue
            _histogram(axes, data[:, place], drawn[:, place])
            axes.set_title(shortened(names[place], 18), fontsize=8.5)
            axes.set_title(f"KS {distances[place]:.2f}", loc="right", fontsize=8, fontweight="normal", color=SOFT)
        handles = panels[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper left", ncols=2, handlelength=1.4)
        said = ", ".join(f"{name} {distance:.2f}" for name, distance in zip(names, distances, strict=True))
        return as_svg(figure, f"Histograms of data and samples; Kolmogorov-Smirnov distances: {said}")


def shortened(name: str, most: int) -> str:
    """A name that fits its place, on one line."""
    line = " ".join(name.split())
    return line if len(line) <= most else line[: most - 1] + "\u2026"


def _pair(axes: Axes, history: History, name: str, title: str) -> None:
    """Training and validation in one frame, laid for what comes after the steep start."""
    curves = {"training": history.curve("train", name), "validation": history.curve("validation", name)}
    for (label, y), colour in zip(curves.items(), (FIRST, SECOND), strict=True):
        if np.isfinite(y).any():
            marker = "o" if np.isfinite(y).sum() == 1 else ""
            axes.plot(history.epochs, y, color=colour, label=label, marker=marker, markersize=4)
    axes.set_title(title)
    tidy(axes)
    if not axes.lines:
        axes.text(0.5, 0.5, "the objective has none", transform=axes.transAxes, ha="center", color=SOFT)
    _frame(axes, list(curves.values()))


def _frame(axes: Axes, curves: Sequence[Array]) -> None:
    """Limits from all but the first tenth, where that tenth would take more than half of the frame."""
    skip = math.ceil(STEEP * len(curves[0]))
    everything = _finite(curves)
    later = _finite([curve[skip:] for curve in curves])
    if len(curves[0]) < ENOUGH or not len(later) or np.ptp(later) > 0.5 * np.ptp(everything):
        return
    margin = 0.08 * max(float(np.ptp(later)), 1e-9 * float(np.abs(later).max()), 1e-12)
    axes.set_ylim(float(later.min()) - margin, float(later.max()) + margin)


def _finite(curves: Sequence[Array]) -> Array:
    joined: Array = np.concatenate(curves)
    found: Array = joined[np.isfinite(joined)]
    return found


def _schedules(axes: Axes, history: History) -> None:
    """Learning rate and weights, each as a share of its largest value, for only their course matters here."""
    dashes: list[Any] = ["-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5))]
    courses = {"learning rate": history.setting("lr"), **history.weights}
    for place, (name, y) in enumerate(courses.items()):
        most, marker = float(np.nanmax(y, initial=0.0)), "o" if len(history) == 1 else ""
        share = y / most if most > 0 else y
        style, colour = dashes[place % len(dashes)], INK if place == 0 else SECOND
        axes.plot(
            history.epochs, share, color=colour, linestyle=style, label=f"{name}, of {plain(most)}", marker=marker,
            markersize=4,
        )  # fmt: skip
    axes.set_ylim(-0.05, 1.08)
    axes.set_title("Learning rate and weights (share of their largest)")
    axes.legend(loc="lower left", handlelength=2)
    tidy(axes)


def _histogram(axes: Axes, data: Array, drawn: Array) -> None:
    data, drawn = data[np.isfinite(data)], drawn[np.isfinite(drawn)]
    values = np.unique(data)
    if len(values) <= FEW_VALUES and len(values) > 0 and bool((values == np.round(values)).all()):
        edges = np.arange(values[0] - 0.5, values[-1] + 1.5)
        edges = edges if len(edges) <= 2 * FEW_VALUES else np.linspace(edges[0], edges[-1], BINS)
    else:
        low, high = np.quantile(data, [0.005, 0.995]) if len(data) else (0.0, 1.0)
        high = high if high > low else low + 1.0
        edges = np.linspace(low - 0.04 * (high - low), high + 0.04 * (high - low), BINS)
    axes.hist(data, edges.tolist(), density=True, color=FAINT, alpha=0.55, label="data")
    inside = drawn[(drawn >= edges[0]) & (drawn <= edges[-1])]
    if len(inside):
        share = len(inside) / max(1, len(drawn))
        weights = np.full(len(inside), share / len(inside)) / np.diff(edges)[0]
        axes.hist(inside, edges.tolist(), weights=weights, histtype="step", color=FIRST, linewidth=1.4, label="samples")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    tidy(axes, "")


def _curves_in_words(history: History) -> str:
    parts = []
    for part, label in (("train", "training"), ("validation", "validation")):
        y = history.curve(part, "bound")
        if np.isfinite(y).any():
            parts.append(f"{label} bound from {nats(float(y[0]))} to {nats(float(y[-1]))} nats")
    best = "" if history.best_epoch is None else f"; best epoch {history.best_epoch}"
    return f"Curves over {len(history)} epochs: {', '.join(parts) or 'no finite bound'}{best}"
