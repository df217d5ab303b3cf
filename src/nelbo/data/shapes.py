"""The data set `shapes`: every combination of five factors of variation, drawn by formula."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from nelbo.data.raw import Array, Codes

__all__ = ["FACTORS", "SHAPES", "SIDE", "draw_shapes"]

SIDE = 32  # pixels
SHAPES = ("ellipse", "heart", "square")
SCALES = (8, 9, 10, 11, 12)  # pixels: the side of the square, the square root of the area of every shape
ORIENTATIONS = (-30, -15, 0, 15, 30)  # degrees; a square comes back after 90, so no two orientations look the same
SHIFTS = tuple(range(-7, 8))  # pixels to the right, and up
FACTORS: Mapping[str, tuple[str | int, ...]] = {
    "shape": SHAPES,
    "scale": SCALES,
    "orientation": ORIENTATIONS,
    "x": SHIFTS,
    "y": SHIFTS,
}
RATIO = 1.6  # of the axes of the ellipse
HEART, LIFT = 3.66197, 0.29348  # area within (u^2 + v^2 - 1)^3 = u^2 v^3, and height of its centre of mass
ASIDE = 0.25  # pixels from a corner between pixels to the middle of a shape: edges stay clear of the pixels' centres

Plane = npt.NDArray[np.float64]


def draw_shapes() -> tuple[Array, Mapping[str, Array]]:
    """All images, [N, 1, 32, 32] of 0 and 1, and the value of each factor for each, [N]; the last factor runs fastest.

    A pixel is 1 where its centre lies inside the shape. Edges are not smoothed: the pixels stay binary, so that a
    Bernoulli likelihood is a probability mass and no nats are spent on grey levels of edges, which say little that is
    no factor. Nothing is lost by it, since no two combinations give the same image; and no centre lies so near to an
    edge that rounding could decide, so that the images are the same on every machine.
    """
    sizes = [len(values) for values in FACTORS.values()]
    middle = np.stack([_inside(name, scale, turn) for name in SHAPES for scale in SCALES for turn in ORIENTATIONS])
    across = np.stack([np.roll(middle, right, axis=2) for right in SHIFTS], axis=1)
    images = np.stack([np.roll(across, -up, axis=2) for up in SHIFTS], axis=2)  # rows of an image run downwards
    codes: Codes = np.indices(sizes).reshape(len(sizes), -1)
    values = {name: np.array(of)[code] for (name, of), code in zip(FACTORS.items(), codes, strict=True)}
    return images.reshape(-1, 1, SIDE, SIDE), values


def _inside(name: str, scale: int, degrees: int) -> npt.NDArray[np.uint8]:
    """The shape in the middle of an image."""
    centres = np.arange(SIDE) + 0.5 - SIDE / 2
    x, y = centres[None, :] - ASIDE, -centres[:, None] - ASIDE
    cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return (_EDGES[name]((cosine * x + sine * y) / scale, (cosine * y - sine * x) / scale) <= 0).astype(np.uint8)


def _ellipse(u: Plane, v: Plane) -> Plane:
    return np.pi * (u**2 / RATIO + v**2 * RATIO) - 1


def _heart(u: Plane, v: Plane) -> Plane:
    u, v = u * np.sqrt(HEART), v * np.sqrt(HEART) + LIFT
    return np.asarray((u**2 + v**2 - 1) ** 3 - u**2 * v**3)


def _square(u: Plane, v: Plane) -> Plane:
    return np.asarray(2 * np.maximum(np.abs(u), np.abs(v)) - 1)


_EDGES = {"ellipse": _ellipse, "heart": _heart, "square": _square}  # below 0 inside, of area 1
