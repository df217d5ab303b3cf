"""The courses of several trainings in one drawing, as a file of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.ticker import MaxNLocator

from nelbo.doctor.wording import nats
from nelbo.evaluate.overview import Overview
from nelbo.report.canvas import CLASSES, WIDTH, as_file, drawing, tidy

__all__ = ["bound_curves"]

DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))  # for runs beyond the tenth
STEEP = 0.1  # share of a course, at its start, that may leave the frame


def bound_curves(runs: Sequence[Overview]) -> str:
    """The bound after each epoch against optimiser steps, one line a run, as the text of an SVG file."""
    with drawing(WIDTH * 0.8, 4.2) as figure:
        axes = figure.subplots()
        late: list[float] = []
        for place, run in enumerate(runs):
            points = [(s, b) for s, b in zip(run.steps, run.bounds, strict=True) if b is not None and math.isfinite(b)]
            colour, dash = CLASSES[place % len(CLASSES)], DASHES[place // len(CLASSES) % len(DASHES)]
            axes.plot(
                [step for step, _ in points], [bound for _, bound in points], color=colour, linestyle=dash,
                label=run.name, marker="o" if len(points) == 1 else "", markersize=4,
            )  # fmt: skip
            late += [bound for _, bound in points[math.ceil(STEEP * len(points)) - (len(points) == 1) :]]
        if late and max(late) > min(late):
            margin = 0.06 * (max(late) - min(late))
            axes.set_ylim(min(late) - margin, max(late) + margin)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
        axes.set_xlabel("optimiser steps")
        axes.set_title("Bound after each epoch, on validation rows where there are any (nats per datum)")
        axes.legend(loc="lower right", handlelength=2)
        tidy(axes)
        return as_file(figure, _in_words(runs))


def _in_words(runs: Sequence[Overview]) -> str:
    ends = [(run.name, run.bounds[-1]) for run in runs if run.bounds]
    said = ", ".join(f"{name} {nats(bound)}" for name, bound in ends if bound is not None)
    return f"Bound of {len(runs)} runs after each epoch; at the end: {said}"
