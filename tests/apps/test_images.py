"""Pictures, read back by Pillow."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from nelbo.apps.images import GAP, grid, stacks, to_unit
from nelbo.data.spec import DataSpec, Kind
from nelbo.errors import ConfigError


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def test_every_pixel_becomes_a_square_of_its_own_grey() -> None:
    image = np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 1, 8, 8)
    found = pixels(grid(image))
    assert found.shape == (64 + 2 * GAP, 64 + 2 * GAP)
    inside = found[GAP:-GAP, GAP:-GAP]
    assert np.array_equal(inside, np.round(image[0, 0] * 255).astype(np.uint8).repeat(8, 0).repeat(8, 1))


def test_images_stand_row_by_row() -> None:
    shades = np.arange(6, dtype=np.float32)[:, None, None, None] / 10 * np.ones((1, 1, 64, 64), np.float32)
    found = pixels(grid(shades, columns=3))
    middles = found[GAP + 32 :: 64 + GAP, GAP + 32 :: 64 + GAP]
    assert np.array_equal(middles, np.round(np.arange(6).reshape(2, 3) * 25.5).astype(np.uint8))


def test_colours_keep_their_channels() -> None:
    red = np.zeros((1, 3, 64, 70), np.float32)
    red[:, 0] = 1
    found = pixels(grid(red))
    assert found[30, 30].tolist() == [255, 0, 0]
    assert found.shape == (64 + 2 * GAP, 70 + 2 * GAP, 3)


def test_pairs_stand_one_above_the_other() -> None:
    above, below = np.ones((4, 1, 64, 64), np.float32), np.zeros((4, 1, 64, 64), np.float32)
    found = pixels(stacks([above, below], columns=4))
    assert found[GAP + 10, GAP + 10] == 255
    assert found[GAP + 64 + GAP + 10, GAP + 10] == 0


def test_a_picture_too_large_to_look_at_is_refused() -> None:
    with pytest.raises(ConfigError, match="ask for fewer"):
        grid(np.broadcast_to(np.zeros((1, 1, 64, 64), np.float32), (50_000, 1, 64, 64)))


@pytest.mark.parametrize(
    ("kind", "levels", "value", "shade"),
    [
        (Kind.BYTE, 256, 51.0, 0.2),
        (Kind.LEVELS, 17, 8.0, 0.5),
        (Kind.BINARY, None, 1.0, 1.0),
        (Kind.UNIT, None, 0.25, 0.25),
        (Kind.REAL, None, 0.0, 0.5),  # half-way between -2 and 2
        (Kind.BYTE, 256, 300.0, 1.0),  # beyond the range: clipped
    ],
)
def test_values_are_scaled_by_levels_or_by_the_range_of_the_data(
    kind: Kind, levels: int | None, value: float, shade: float
) -> None:
    spec = DataSpec(name="t", event_shape=(1, 1, 1), kind=kind, levels=levels, layout="image")
    assert to_unit(np.full((1, 1, 1, 1), value), spec, -2.0, 2.0).item() == pytest.approx(shade)
