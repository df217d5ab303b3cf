"""Laws of reading folders of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nelbo.data import load
from nelbo.errors import DataError

RANDOM = np.random.default_rng(0)


def put(path: Path, shape: tuple[int, ...] = (9, 8)) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = RANDOM.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_grey_images_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    second, first = put(tmp_path / "b.png"), put(tmp_path / "a.bmp")
    data = load(tmp_path)
    assert data.x.shape == (2, 1, 9, 8)
    assert np.array_equal(data.x[:, 0].numpy(), [first, second])
    assert data.label is None
    assert data.spec.kind == "byte"


def test_colour_images_are_channel_first(tmp_path: Path) -> None:
    pixels = put(tmp_path / "a.png", (9, 8, 3))
    assert np.array_equal(load(tmp_path).x[0].numpy(), pixels.transpose(2, 0, 1))


def test_sub_folders_are_labels(tmp_path: Path) -> None:
    for name in ("cats/1.png", "cats/deep/2.png", "dogs/1.png", "stray.png"):
        put(tmp_path / name)
    data = load(tmp_path)
    assert data.spec.label_names == ("cats", "dogs")
    assert data.label is not None
    assert sorted(data.label.tolist()) == [-1, 0, 0, 1]


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "gif", "PNG"])
def test_every_format_is_read(tmp_path: Path, suffix: str) -> None:
    put(tmp_path / f"a.{suffix}")
    assert load(tmp_path).x.shape[0] == 1


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8), value, np.uint8)) for value in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert load(tmp_path).x.unique().tolist() == [10]


def test_other_and_hidden_files_are_left_aside(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / ".thumbnails" / "b.png", (3, 3))
    (tmp_path / "notes.txt").write_text("x")
    data = load(tmp_path)
    assert len(data) == 1
    assert any("not images are left aside: 1" in reason for reason in data.spec.reasons)


def refused(folder: Path, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(folder)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "holds no images")


def test_the_one_image_of_another_size_is_named_with_both_sizes(tmp_path: Path) -> None:
    put(tmp_path / "a.png", (5, 7))
    put(tmp_path / "b.png")
    put(tmp_path / "c.png")
    refused(tmp_path, r"a\.png' is 7 x 5, but most are 8 x 9")


def test_a_colour_image_among_grey_ones_is_named(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "b.png", (9, 8, 3))
    put(tmp_path / "c.png")
    refused(tmp_path, r"b\.png' is in colour, but most are grey")


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "gif"])
def test_a_truncated_image_is_named(tmp_path: Path, suffix: str) -> None:
    put(tmp_path / "a.png", (40, 40))
    put(tmp_path / f"b.{suffix}", (40, 40))
    whole = (tmp_path / f"b.{suffix}").read_bytes()
    (tmp_path / f"b.{suffix}").write_bytes(whole[: len(whole) // 2])
    refused(tmp_path, rf"b\.{suffix}' is corrupt")


@pytest.mark.parametrize("content", [b"", b"no image at all"])
def test_a_file_that_is_no_image_is_named(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(content)
    refused(tmp_path, r"b\.jpg' is corrupt")


def test_deep_images_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "a.png")
    refused(tmp_path, "more than 8 bits")
