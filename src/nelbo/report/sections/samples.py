"""What the model makes up: samples from the prior."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from nelbo.data import evenly
from nelbo.report.charts import column_histograms
from nelbo.report.html import Markup, element, figure, section
from nelbo.report.pictures import Display, as_image, grid, how_many
from nelbo.report.subject import Subject

__all__ = ["distances", "samples"]

Array = npt.NDArray[np.float64]

IMAGES = 36
TABLE_ROWS = 2_000
MOST_PANELS = 12
HALF_A_PAGE = 440  # pixels


def samples(subject: Subject) -> Markup:
    """Images: means and draws side by side. Tables: histograms of draws over those of the data."""
    content = _images(subject, subject.display) if subject.display is not None else _table(subject)
    return section("samples", "Samples from the prior", content)


def distances(x: Array, y: Array) -> Array:
    """The Kolmogorov-Smirnov distance between the columns of two tables, `[N, D]` and `[M, D]` to [D]."""
    found = []
    for a, b in zip(np.sort(x, 0).T, np.sort(y, 0).T, strict=True):
        grid = np.concatenate((a, b))
        share_a = np.searchsorted(a, grid, "right") / len(a)
        share_b = np.searchsorted(b, grid, "right") / len(b)
        found.append(float(np.abs(share_a - share_b).max()))
    return np.array(found)


def _images(subject: Subject, display: Display) -> Markup:
    height, width = (min(64, side) for side in subject.raw_spec.event_shape[-2:])
    side = int(how_many(height, width, IMAGES) ** 0.5)
    means, draws = (display.thumbnails(part) for part in subject.views.sample(side * side))
    zoom = max(1, HALF_A_PAGE // (side * (means.shape[2] + 2)))
    panels = [
        element("div", [element("p", title), as_image(grid(pixels, side, zoom), f"{len(pixels)} {title}")])
        for title, pixels in (("means of p(x | z)", means), ("one draw of x from each", draws))
        if pixels is means or not np.array_equal(means, draws)
    ]
    caption = (
        "z drawn from the prior: first the mean of p(x | z), which hides the noise that the likelihood adds, then the "
        "same z with that noise, which is what the model takes for data."
        if len(panels) > 1
        else "z drawn from the prior, and the mean of p(x | z), from which draws do not differ."
    )
    return figure(element("div", panels, class_="pair"), caption)


def _table(subject: Subject) -> Markup:
    rows = evenly(torch.arange(len(subject.job.data)), TABLE_ROWS)
    data = subject.views.raw(rows).flatten(1).double().numpy()
    drawn = subject.views.sample(TABLE_ROWS)[1].flatten(1).double().numpy()
    apart = distances(data, drawn)
    names = [c.name for c in subject.raw_spec.columns or ()] or [f"column {i + 1}" for i in range(data.shape[1])]
    order = _most_telling(apart)
    chart = column_histograms(
        [names[i] for i in order], data[:, order], drawn[:, order], [float(apart[i]) for i in order]
    )
    caption = (
        f"Columns of the data and of {TABLE_ROWS:,} samples. KS is the Kolmogorov-Smirnov distance, the largest gap "
        f"between the two cumulative distributions: 0 is equal, 1 is apart; over all columns its median is "
        f"{np.median(apart):.2f}. What falls outside a frame is not drawn."
    )
    if len(order) < len(names):
        half = len(order) // 2
        caption += (
            f" Of {len(names)} columns the {half} that differ most come first, then the {half} that differ least."
        )
    return figure(chart, caption)


def _most_telling(apart: Array) -> list[int]:
    if len(apart) <= MOST_PANELS:
        return list(range(len(apart)))
    order = np.argsort(-apart, kind="stable").tolist()
    half = MOST_PANELS // 2
    return [int(i) for i in (*order[:half], *order[-half:])]
