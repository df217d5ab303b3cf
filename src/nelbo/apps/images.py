"""Images as a PNG file: a grid, enlarged so that even an image of 8 x 8 can be seen."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from PIL import Image

from nelbo.data.raw import Array
from nelbo.data.spec import DataSpec, Kind
from nelbo.errors import ConfigError

__all__ = ["grid", "stacks", "to_unit"]

SIDE = 64  # pixels that the longer side of an enlarged image has at least
GAP = 2  # pixels of the picture between two images
BACKGROUND = 128  # neither ink nor paper
LARGEST = 100_000_000  # pixels of a picture


def to_unit(values: Array, spec: DataSpec, low: float, high: float) -> Array:
    """Values scaled for the eye to 0..1: by their levels, else by the range `low` to `high` of the data."""
    if spec.levels is not None:
        low, high = 0.0, spec.levels - 1.0
    elif spec.kind in {Kind.BINARY, Kind.UNIT}:
        low, high = 0.0, 1.0
    span = high - low if high > low else 1.0
    return cast(Array, np.clip((values.astype(np.float32) - low) / span, 0.0, 1.0))


def grid(images: Array, columns: int | None = None) -> bytes:
    """N images (N, 1 or 3, H, W) between 0 and 1 as one PNG file, row by row.

    Parameters
    ----------
    columns
        Images side by side; by default the picture is about square.

    Raises
    ------
    ConfigError
        If the picture would be too large to be looked at.
    """
    return _png(_tiled([images], columns))


def stacks(layers: Sequence[Array], columns: int | None = None) -> bytes:
    """Like `grid`, with each image of the first layer over its partners of the others."""
    return _png(_tiled(list(layers), columns))


def _tiled(layers: list[Array], columns: int | None) -> Array:
    """The picture (height, width, channels) in bytes; image i of every layer stands in one column."""
    count, channels, height, width = layers[0].shape
    factor = max(1, math.ceil(SIDE / max(height, width)))
    height, width, high = height * factor, width * factor, len(layers)
    block = high * (height + GAP) + (GAP if high > 1 else 0)  # pairs stand closer than their neighbours
    across = min(count, columns or max(1, round(math.sqrt(count * block / (width + GAP)))))
    down = math.ceil(count / across)
    size = (GAP + down * block, GAP + across * (width + GAP))
    if size[0] * size[1] > LARGEST:
        raise ConfigError(
            f"a picture of {count} images would have {size[1]} x {size[0]} pixels; ask for fewer with -n, or write .npz"
        )
    canvas = np.full((*size, channels), BACKGROUND, np.uint8)
    for layer, images in enumerate(layers):
        shown = np.round(images * 255).astype(np.uint8).repeat(factor, 2).repeat(factor, 3)
        for place, image in enumerate(np.moveaxis(shown, 1, -1)):
            top = GAP + place // across * block + layer * (height + GAP)
            left = GAP + place % across * (width + GAP)
            canvas[top : top + height, left : left + width] = image
    return canvas


def _png(canvas: Array) -> bytes:
    image = Image.fromarray(canvas[..., 0] if canvas.shape[-1] == 1 else canvas)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
