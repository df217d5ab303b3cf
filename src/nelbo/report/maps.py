"""The latent map: posterior means in the plane, coloured by label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.patches import Circle, PathPatch
from matplotlib.path import Path
from torch import Tensor

from nelbo.doctor.wording import percent
from nelbo.report.canvas import CLASSES, FAINT, FIRST, INK, PAGE, SOFT, WIDTH, as_svg, drawing, tidy
from nelbo.report.charts import shortened
from nelbo.report.html import Markup
from nelbo.report.views import Encoded

__all__ = ["Projection", "latent_map", "project"]

Array = npt.NDArray[np.float64]
MOST_CLASSES = 20  # that are named; the rest share one colour
WIDE_NAMES = 14


@final
@dataclass(frozen=True, eq=False)
class Projection:
    """Posterior means in the plane, and how they came there."""

    points: Array  # [N, 2]
    axes: tuple[str, str]
    words: str
    shows_prior: bool  # whether a standard normal prior is a circle here


def project(encoded: Encoded, has_standard_prior: bool) -> Projection:
    """One latent against its spread, two as they are, more by the principal components of their means."""
    mean = encoded.mean.double()
    if mean.shape[1] == 1:
        points = torch.stack((mean[:, 0], encoded.spread.double()[:, 0]), 1)
        words = "There is one latent: its posterior mean, and the standard deviation of the posterior."
        return Projection(_array(points), ("posterior mean", "posterior standard deviation"), words, False)
    if mean.shape[1] == 2:
        words = "There are two latents: their posterior means as they are."
        return Projection(_array(mean), ("latent 1", "latent 2"), words, has_standard_prior)
    centred = torch.nan_to_num(mean - mean.mean(0))
    _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
    share = sizes.square() / sizes.square().sum().clamp_min(1e-300)
    # The sign of a component is arbitrary: its largest entry is made positive, so that a report repeats itself.
    leading = directions[:2]
    signs = leading.gather(1, leading.abs().argmax(1, keepdim=True)).sign()
    points = torch.nan_to_num(mean) @ (leading * signs).T
    words = (
        f"The first two principal components of the posterior means of {mean.shape[1]} latents; they hold "
        f"{percent(float(share[:2].sum()))} of the variance of the means."
    )
    if points.shape[1] < 2:  # a single row has one component
        points = torch.cat((points, torch.zeros_like(points)), 1)
    first, second = (f"component {i + 1}, {percent(float(share[i]) if len(share) > i else 0.0)}" for i in range(2))
    return Projection(_array(points), (first, second), words, has_standard_prior)


def latent_map(projection: Projection, label: Tensor | None, names: Sequence[str]) -> Markup:
    """The projected rows as dots; classes are named beside the map and at their middles."""
    points = projection.points
    size = 3.4 if len(points) > 1_000 else 4.6
    with drawing(WIDTH * 0.86, 5.4) as figure:
        axes = figure.subplots()
        if projection.shows_prior:
            _prior_circle(axes)
        classes = _classes(label, names)
        if not classes:
            _dots(axes, points, FIRST, size)
        for place, (name, code) in enumerate(classes):
            _class(axes, points[_of(label, code)], name, place, size)
        if label is not None and classes:
            known = np.isin(label.numpy(), [code for _, code in classes])
            _dots(axes, points[~known], FAINT, 0.7 * size, "no label" if len(classes) <= MOST_CLASSES else "other")
        axes.set_xlabel(projection.axes[0])
        axes.set_ylabel(projection.axes[1])
        # Only these corners count for the limits: dots are added as artists that do not.
        low_x, high_x = _limits(points[:, 0], projection.shows_prior)
        low_y, high_y = _limits(points[:, 1], projection.shows_prior)
        axes.update_datalim([(low_x, low_y), (high_x, high_y)])
        axes.autoscale_view()
        if projection.shows_prior:
            axes.set_aspect("equal", adjustable="datalim")
        tidy(axes, "")
        if classes:
            columns = 1 if len(classes) <= MOST_CLASSES else 2
            figure.legend(loc="outside right upper", ncols=columns, handlelength=0.8, handletextpad=0.5)
        said = f", coloured by {len(classes)} classes" if classes else ""
        return as_svg(figure, f"Map of {len(points):,} rows in latent space{said}. {projection.words}")


def _classes(label: Tensor | None, names: Sequence[str]) -> list[tuple[str, int]]:
    """Names and codes of the largest classes, in the order of their codes."""
    if label is None or not bool((label >= 0).any()):
        return []
    sizes = torch.bincount(label[label >= 0])
    largest = torch.argsort(sizes, descending=True, stable=True)[:MOST_CLASSES].tolist()
    return [(names[code] if code < len(names) else str(code), code) for code in sorted(largest) if sizes[code] > 0]


def _class(axes: Axes, points: Array, name: str, place: int, size: float) -> None:
    colour = CLASSES[place % len(CLASSES)]
    _dots(axes, points, colour, size, shortened(name, 24))
    middle = np.median(points, 0)
    axes.text(
        float(middle[0]),
        float(middle[1]),
        shortened(name, WIDE_NAMES),
        ha="center",
        va="center",
        color=INK,
        fontsize=9,
        fontweight="bold",
        zorder=5,
        bbox={"boxstyle": "round,pad=0.18", "facecolor": PAGE, "edgecolor": colour, "linewidth": 0.9, "alpha": 0.88},
    )


def _dots(axes: Axes, points: Array, colour: str, size: float, label: str | None = None) -> None:
    """Dots as one path of strokes without length and with round ends: a tenth of the bytes of a marker each."""
    points = points[np.isfinite(points).all(1)]
    if not len(points):
        return
    vertices = points.repeat(2, 0)
    codes = np.tile([Path.MOVETO, Path.LINETO], len(points))
    path = Path(vertices, codes)
    path.should_simplify = False
    patch = PathPatch(path, edgecolor=colour, facecolor="none", linewidth=size, capstyle="round", alpha=0.8)
    patch.set_transform(axes.transData)
    axes.add_artist(patch)
    patch.set_clip_path(axes.patch)
    if label is not None:
        axes.plot([], [], color=colour, marker="o", markersize=5, linestyle="none", label=label)


def _prior_circle(axes: Axes) -> None:
    axes.add_patch(Circle((0, 0), 2, fill=False, edgecolor=FAINT, linewidth=1.1, linestyle=(0, (4, 3)), zorder=4))
    axes.annotate("prior, 2 sd", (0, 2), ha="center", va="bottom", color=SOFT, fontsize=8, zorder=4)


def _limits(values: Array, with_prior: bool) -> tuple[float, float]:
    """All but the farthest one in a thousand, and the prior's circle."""
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.0005, 0.9995]) if len(finite) else (0.0, 1.0)
    if with_prior:
        low, high = min(low, -2.3), max(high, 2.3)
    margin = 0.04 * max(float(high - low), 1e-6)
    return float(low) - margin, float(high) + margin


def _of(label: Tensor | None, code: int) -> npt.NDArray[np.bool_]:
    assert label is not None
    found: npt.NDArray[np.bool_] = (label == code).numpy()
    return found


def _array(points: Tensor) -> Array:
    array: Array = points.numpy()
    return array
