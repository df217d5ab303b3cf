"""What the model makes of test rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nelbo.doctor.wording import count, percent
from nelbo.report.charts import column_bars
from nelbo.report.html import Markup, element, figure, join, section
from nelbo.report.pictures import Display, as_image, columns_for, grid, how_many
from nelbo.report.subject import Subject

__all__ = ["explained", "reconstructions"]

PAIRS = 28
SCORED_ROWS = 2_000
MOST_BARS = 24


def reconstructions(subject: Subject) -> Markup:
    """Images beside their reconstructions; for a table, how much of each column is reconstructed."""
    content = _pairs(subject, subject.display) if subject.display is not None else _columns(subject)
    return section("reconstructions", "Reconstructions", content)


def explained(x: Tensor, made: Tensor) -> Tensor:
    """R squared of each column, 1 - sum (x - x')^2 / sum (x - mean)^2, `[N, D] -> [D]`; NaN for a constant one."""
    x, made = x.flatten(1).double(), made.flatten(1).double()
    total = (x - x.mean(0)).square().sum(0)
    share = 1 - (x - made).square().sum(0) / total
    return torch.where(total > 0, share, torch.nan)


def _pairs(subject: Subject, display: Display) -> Markup:
    """Rows of inputs, each with a row of reconstructions right below."""
    height, width = subject.raw_spec.event_shape[-2:]
    rows = subject.views.some_rows("test", max(4, how_many(height, width, 2 * PAIRS) // 2))
    seen, made = (display(part) for part in subject.views.reconstruct(rows))
    columns = columns_for(seen)
    full = max(columns, len(seen) // columns * columns) if len(seen) >= columns else len(seen)
    bands = [
        np.concatenate((seen[start : start + columns], made[start : start + columns]))
        for start in range(0, min(full, len(seen)), columns)
    ]
    images = [
        as_image(grid(band, min(columns, len(band) // 2)), "Test images above their reconstructions") for band in bands
    ]
    note = (
        "What the model was given is shown as it was seen, after its transform. "
        if subject.job.transform.random
        else ""
    )
    caption = f"Test images; below each its reconstruction, the mean of p(x | z) at the posterior mean. {note}"
    bands_apart = [element("div", image, style="margin-bottom: .7rem") for image in images]
    return figure(join(bands_apart), f"{caption}{subject.how_means_are_shown}".strip())


def _columns(subject: Subject) -> Markup:
    seen, made = subject.views.reconstruct(subject.views.some_rows("test", SCORED_ROWS))
    share = explained(seen, made)
    names = [c.name for c in subject.raw_spec.columns or ()] or [f"column {i + 1}" for i in range(subject.raw_spec.dim)]
    order = [int(i) for i in torch.argsort(share.nan_to_num(-torch.inf), descending=True) if bool(share[i].isfinite())]
    if not order:
        return element("p", "No column varies over the test rows, so there is nothing to reconstruct.")
    constant = len(names) - len(order)
    typical = float(share[order].median())
    words = (
        f"Share of each column's variance over test rows that the reconstruction explains (R²); the median is "
        f"{percent(typical)}. A column near 0 is left to the noise of the likelihood: the latents do not carry it."
    )
    if constant:
        words += (
            f" {count(constant, 'column')} constant over the test rows {'is' if constant == 1 else 'are'} left out."
        )
    return figure(_bars(names, share, order), f"{words} {subject.how_means_are_shown}".strip())


def _bars(names: list[str], share: Tensor, order: list[int]) -> Markup:
    if len(order) <= MOST_BARS // 2:
        return column_bars([names[i] for i in order], share[order].tolist(), "R² of each column")
    if len(order) <= MOST_BARS:
        half = (len(order) + 1) // 2
        groups = ((order[:half], "R², better half"), (order[half:], "R², other half"))
    else:
        half = MOST_BARS // 2
        groups = ((order[:half], f"R², best {half} of {len(order)}"), (order[-half:], f"R², worst {half}"))
    bars = [column_bars([names[i] for i in some], share[some].tolist(), title) for some, title in groups]
    return element("div", bars, class_="pair halves")
