"""Tensors become pictures with the right grey levels at the right places."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

from nelbo.data import load
from nelbo.report.pictures import GAP, Display, as_image, columns_for, grid, how_many


def test_levels_span_black_to_white() -> None:
    display = Display(load("digits"))
    pixels = display(torch.tensor([0.0, 8.0, 16.0]).reshape(3, 1, 1, 1))
    assert pixels[:, 0, 0].tolist() == [[0] * 3, [128] * 3, [255] * 3]


def test_what_lies_outside_or_is_not_finite_is_clipped() -> None:
    display = Display(load("digits"))
    values = torch.tensor([-5.0, 99.0, torch.nan, torch.inf, -torch.inf]).reshape(5, 1, 1, 1)
    assert display(values)[:, 0, 0, 0].tolist() == [0, 255, 0, 255, 0]


def test_real_images_are_scaled_by_their_own_range() -> None:
    x = np.random.default_rng(0).normal(100, 20, size=(40, 1, 8, 8)).astype(np.float32)
    display = Display(load(x))
    low, high = np.quantile(x, [0.005, 0.995])
    assert (display.low, display.high) == (pytest.approx(low, rel=1e-4), pytest.approx(high, rel=1e-4))


def test_colours_keep_their_channels() -> None:
    x = np.zeros((30, 8, 8, 3), np.uint8)
    x[..., 1] = np.arange(30)[:, None, None] * 8
    data = load(x)
    pixels = Display(data)(data.x[:2].float())
    assert pixels[1, 0, 0].tolist() == [0, 8, 0]


def test_a_grid_enlarges_by_whole_factors_and_leaves_gaps_open() -> None:
    pixels = np.arange(5 * 2 * 3 * 3, dtype=np.uint8).reshape(5, 2, 3, 3)
    sheet = np.asarray(grid(pixels, 3, zoom=4))
    assert sheet.shape == (2 * (8 + GAP) - GAP, 3 * (12 + GAP) - GAP, 4)
    second_row = sheet[8 + GAP :, 12 + GAP : 24 + GAP]
    np.testing.assert_array_equal(second_row[::4, ::4, :3], pixels[4])
    np.testing.assert_array_equal(second_row[3::4, 3::4, :3], pixels[4])
    assert (sheet[:, 12 : 12 + GAP, 3] == 0).all()


def test_a_picture_carries_its_own_bytes_and_escapes_its_words() -> None:
    image = Image.fromarray(np.full((3, 5, 4), 255, np.uint8))
    text = as_image(image, 'a "quoted" <word>')
    content = re.search(r"base64,([^\"]+)", text)
    assert content is not None
    assert Image.open(io.BytesIO(base64.b64decode(content[1]))).size == (5, 3)
    assert "<word>" not in text
    assert "&quot;quoted&quot;" in text


def test_large_images_are_few_and_thumbnails_small() -> None:
    assert how_many(8, 8, 28) == 28
    assert how_many(128, 128, 28) == 6
    x = torch.rand(2, 3, 128, 100)
    display = Display(load(np.zeros((20, 128, 100, 3), np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None, None]))
    assert display.thumbnails(x).shape == (2, 64, 50, 3)
    assert columns_for(np.zeros((1, 128, 128, 3), np.uint8)) == 1
