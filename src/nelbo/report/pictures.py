"""Tensors as pictures: values scaled to grey or colour, put into grids, enlarged by whole factors, inlined as PNG."""

from __future__ import annotations

import base64
import html
import io
import math
from typing import final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from nelbo.data import Data, Kind, evenly
from nelbo.report.html import Markup

__all__ = ["Display", "as_image", "columns_for", "grid", "how_many", "strip"]

Pixels = npt.NDArray[np.uint8]

BUDGET = 100_000  # pixels of a grid before it is enlarged: bounds the size of the page
SIDE = 64  # pixels that the sides of one image are enlarged to, or thumbnails reduced to
GAP = 2
MOST_COLUMNS = 14
SHEET = 920  # pixels
RANGE_ROWS = 1_000


@final
class Display:
    """How values in the data's own units become grey levels or colours: black at `low`, white at `high`."""

    def __init__(self, data: Data) -> None:
        self.low, self.high = _range(data)

    def __call__(self, x: Tensor) -> Pixels:
        """Images `[N, C, H, W]` (or `[N, H, W]`) to `[N, H, W, 3]`; other numbers of channels show their mean."""
        images = x if x.dim() == 4 else x.unsqueeze(1)
        share = (images.float() - self.low) / max(self.high - self.low, 1e-12)
        share = torch.nan_to_num(share).clamp(0, 1)
        if share.shape[1] not in {1, 3}:
            share = share.mean(1, keepdim=True)
        colours = share.expand(-1, 3, -1, -1).movedim(1, -1)
        pixels: Pixels = (colours * 255).round().to(torch.uint8).numpy()
        return pixels

    def thumbnails(self, x: Tensor) -> Pixels:
        """The same, large images reduced by averaging."""
        factor = math.ceil(max(x.shape[-2:]) / SIDE)
        images = x if x.dim() == 4 else x.unsqueeze(1)
        return self(images if factor == 1 else F.avg_pool2d(images.float(), factor, ceil_mode=True))


def how_many(height: int, width: int, wanted: int) -> int:
    """As many images as wanted, but no more than a page should carry."""
    return max(4, min(wanted, BUDGET // (height * width)))


def columns_for(pixels: Pixels) -> int:
    """Images side by side on a page."""
    width = pixels.shape[2] * _factor(pixels) + GAP
    return int(max(1, min(MOST_COLUMNS, SHEET // width, len(pixels))))


def grid(pixels: Pixels, columns: int, zoom: int | None = None) -> Image.Image:
    """Images `[N, H, W, 3]` in rows of `columns`, with see-through gaps, enlarged without smoothing."""
    n, height, width, _ = pixels.shape
    factor = zoom or _factor(pixels)
    rows = math.ceil(n / columns)
    large = pixels.repeat(factor, 1).repeat(factor, 2)
    sheet = np.zeros((rows * (height * factor + GAP) - GAP, columns * (width * factor + GAP) - GAP, 4), np.uint8)
    for place, image in enumerate(large):
        top = place // columns * (height * factor + GAP)
        left = place % columns * (width * factor + GAP)
        sheet[top : top + height * factor, left : left + width * factor, :3] = image
        sheet[top : top + height * factor, left : left + width * factor, 3] = 255
    return Image.fromarray(sheet)


def strip(pixels: Pixels) -> Image.Image:
    """All images in one row."""
    return grid(pixels, len(pixels))


def as_image(image: Image.Image, alternative: str) -> Markup:
    """A picture as an element that carries its own bytes; the words say what it shows."""
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    content = base64.b64encode(file.getvalue()).decode()
    return Markup(
        f'<img src="data:image/png;base64,{content}" alt="{html.escape(alternative)}" '
        f'width="{image.width}" height="{image.height}">'
    )


def _factor(pixels: Pixels) -> int:
    height, width = pixels.shape[1:3]
    return max(1, round(SIDE / math.sqrt(height * width)))


def _range(data: Data) -> tuple[float, float]:
    spec = data.spec
    if spec.levels is not None:
        return 0.0, float(spec.levels - 1)
    if spec.kind in {Kind.BINARY, Kind.UNIT}:
        return 0.0, 1.0
    values = evenly(data.x, RANGE_ROWS).double().flatten().numpy()
    low, high = np.quantile(values, [0.005, 0.995])
    return float(low), float(high) if high > low else float(low) + 1.0
