"""Channels and sizes of a stack that halves an image or a series again and again; a decoder retraces them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from nelbo.errors import CompositionError

__all__ = ["LARGEST", "SMALLEST", "Pyramid", "image_pyramid", "pyramid", "series_pyramid"]

SMALLEST, LARGEST = 8, 128  # sides of an image
FIRST, WIDEST = 32, 128  # channels


@final
@dataclass(frozen=True)
class Pyramid:
    """What goes into the first halving, lies between any two, and comes out of the last."""

    channels: tuple[int, ...]
    sizes: tuple[tuple[int, ...], ...]

    @property
    def top(self) -> tuple[int, ...]:
        """Shape of the last map, channels first."""
        return (self.channels[-1], *self.sizes[-1])


def image_pyramid(shape: Sequence[int], channels: Sequence[int] | int | None) -> Pyramid:
    """Of an image (channels, height, width).

    Raises
    ------
    CompositionError
        If it has neither 1 nor 3 channels, is smaller than 8x8 or larger than 128x128, or cannot be halved so often.
    """
    if len(shape) != 3 or shape[0] not in {1, 3} or not all(SMALLEST <= side <= LARGEST for side in shape[1:]):
        raise CompositionError(
            f"the convolutional network needs images of 1 or 3 channels, {SMALLEST}x{SMALLEST} to {LARGEST}x{LARGEST},"
            f" but the data have shape {tuple(shape)}; use --network mlp"
        )
    return pyramid(shape, channels, "an image")


def series_pyramid(shape: Sequence[int], channels: Sequence[int] | int | None) -> Pyramid:
    """Of a series (time,) or (channels, time), of 8 steps or more.

    Raises
    ------
    CompositionError
        If it is none, or cannot be halved so often.
    """
    if len(shape) not in {1, 2} or shape[-1] < SMALLEST:
        raise CompositionError(
            f"the convolutional network for series needs {SMALLEST} steps or more, but the data have shape "
            f"{tuple(shape)}; use --network {'conv' if len(shape) == 3 else 'mlp'}"
        )
    return pyramid((1, *shape) if len(shape) == 1 else shape, channels, "a series")


def pyramid(shape: Sequence[int], channels: Sequence[int] | int | None, what: str) -> Pyramid:
    """Halve (rounding down) once for each of `channels`; by default 32, 64, 128, ... down to 4 to 7 cells."""
    if isinstance(channels, int):  # one halving: a part string knows no list of one
        channels = (channels,)
    sizes = [tuple(map(int, shape[1:]))]
    depth = int(math.log2(min(sizes[0]) / 4)) if channels is None else len(channels)
    widths = [min(FIRST * 2**i, WIDEST) for i in range(depth)] if channels is None else list(channels)
    for _ in range(depth):
        sizes.append(tuple(side // 2 for side in sizes[-1]))
    if depth < 1 or min(sizes[-1]) < 1:
        raise CompositionError(
            f"{depth} halvings do not fit {what} of {'x'.join(map(str, sizes[0]))}; "
            "give fewer channels, e.g. channels=32+64"
        )
    if min(widths) < 1:
        raise CompositionError(f"channels must be 1 or more, but {widths} were given; use e.g. channels=32+64")
    return Pyramid((int(shape[0]), *widths), tuple(sizes))
