"""The images of `shapes` against geometry that was not written for them."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from nelbo.data import load
from nelbo.data.shapes import FACTORS, ORIENTATIONS, SCALES, SHAPES, SIDE, _inside, draw_shapes

IMAGES, VALUES = draw_shapes()
ON = IMAGES[:, 0].astype(np.float64)
CENTRES = np.arange(SIDE) + 0.5 - SIDE / 2
RIGHT, UP = CENTRES[None, :], -CENTRES[:, None]


def moment(of: np.ndarray) -> np.ndarray:
    """The mean of a function of the place over the pixels that are on, [N]."""
    return (ON * of).sum((1, 2)) / ON.sum((1, 2))


def test_every_combination_of_factors_is_there_once_and_has_an_image_of_its_own() -> None:
    assert len(IMAGES) == np.prod([len(values) for values in FACTORS.values()])
    codes = np.stack([np.unique(values, return_inverse=True)[1] for values in VALUES.values()], axis=1)
    assert len(np.unique(codes, axis=0)) == len(IMAGES)
    packed = np.packbits(IMAGES.reshape(len(IMAGES), -1), axis=1)
    assert len(np.unique(packed, axis=0)) == len(IMAGES)
    assert set(np.unique(IMAGES)) == {0, 1}


def test_the_area_is_that_of_the_scale_whatever_the_shape_and_nothing_is_cut_off() -> None:
    area = ON.sum((1, 2))
    assert np.abs(area / VALUES["scale"] ** 2 - 1).max() < 0.08
    kinds = area.reshape(len(SHAPES) * len(SCALES) * len(ORIENTATIONS), -1)
    assert np.array_equal(kinds, kinds[:, :1].repeat(kinds.shape[1], 1))


def test_the_centre_of_mass_is_where_x_and_y_say() -> None:
    assert np.abs(moment(RIGHT) - VALUES["x"] - 0.25).max() < 0.3
    assert np.abs(moment(UP) - VALUES["y"] - 0.25).max() < 0.3


def test_the_long_axis_of_an_ellipse_is_turned_by_the_orientation() -> None:
    right, up = moment(RIGHT), moment(UP)
    across, along, both = moment(RIGHT**2) - right**2, moment(UP**2) - up**2, moment(RIGHT * UP) - right * up
    turned = np.rad2deg(0.5 * np.arctan2(2 * both, across - along))
    ellipses = VALUES["shape"] == "ellipse"
    assert np.abs(turned - VALUES["orientation"])[ellipses].max() < 5


def test_a_square_has_the_pixels_whose_centres_lie_in_the_polygon() -> None:
    places = np.stack(np.broadcast_arrays(RIGHT, UP), axis=-1).reshape(-1, 2)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    for row in np.flatnonzero(VALUES["shape"] == "square")[::97]:
        turn = np.deg2rad(VALUES["orientation"][row])
        rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        outline = corners * VALUES["scale"][row] / 2 @ rotation + [VALUES["x"][row] + 0.25, VALUES["y"][row] + 0.25]
        inside = Outline(outline).contains_points(places).reshape(SIDE, SIDE)
        assert np.array_equal(inside, ON[row].astype(bool))


@pytest.mark.parametrize("name", SHAPES)
def test_no_pixel_is_so_near_to_an_edge_that_rounding_could_decide(name: str) -> None:
    for scale in SCALES:
        for turn in ORIENTATIONS:
            image = _inside(name, scale, turn)
            for near in (1 - 1e-8, 1 + 1e-8):
                assert np.array_equal(image, _inside(name, scale * near, turn * near))  # type: ignore[arg-type]


def test_the_data_set_knows_its_factors_and_calls_the_shape_its_label() -> None:
    data = load("shapes")
    assert [(factor.name, factor.distinct, factor.ordered) for factor in data.spec.factors] == [
        ("shape", 3, False), ("scale", 5, True), ("orientation", 5, True), ("x", 15, True), ("y", 15, True),
    ]  # fmt: skip
    assert data.factors is not None
    assert data.label is not None
    row = 12_345
    for (name, values), code in zip(FACTORS.items(), data.factors[row].tolist(), strict=True):
        assert VALUES[name][row] == values[code]
    assert data.spec.label_names == SHAPES
    assert data.label.equal(data.factors[:, 0])
