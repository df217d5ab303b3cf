"""Laws of loading: shapes, labels, hashes, and a sentence for every bad input."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from nelbo.data import Data, load
from nelbo.errors import DataError

RANDOM = np.random.default_rng(0)
TABLE = RANDOM.standard_normal((12, 3))


def test_digits_are_those_of_scikit_learn() -> None:
    digits, data = load_digits(), load("digits")
    assert data.x.shape == (1797, 1, 8, 8)
    assert data.x.dtype == torch.uint8
    assert np.array_equal(data.x[:, 0].numpy(), digits.images)
    assert data.label is not None
    assert np.array_equal(data.label.numpy(), digits.target)
    assert (data.spec.kind, data.spec.levels, data.spec.scaling.scale) == ("levels", 17, 16.0)


@pytest.mark.parametrize(
    ("shape", "event"),
    [
        ((5, 3), (3,)),
        ((5, 8, 9), (1, 8, 9)),
        ((5, 8, 9, 1), (1, 8, 9)),
        ((5, 8, 9, 3), (3, 8, 9)),
        ((5, 3, 8, 9), (3, 8, 9)),
        ((5, 1, 8, 9), (1, 8, 9)),
        ((5, 200, 300), (1, 200, 300)),
    ],
)
def test_images_become_channel_first(shape: tuple[int, ...], event: tuple[int, ...]) -> None:
    data = load(RANDOM.random(shape))
    assert data.spec.event_shape == event
    assert data.x.shape == (5, *event)
    assert data.x.is_contiguous()


def test_channels_keep_their_pixels() -> None:
    images = RANDOM.random((2, 4, 5, 3)).astype(np.float32)
    assert load(images).x[1, 2, 3, 4] == images[1, 3, 4, 2]


def test_tensors_and_arrays_give_the_same_data() -> None:
    assert load(torch.from_numpy(TABLE)).sha256 == load(TABLE).sha256


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32, torch.bool])
def test_tensors_of_any_number_type_are_read(dtype: torch.dtype) -> None:
    assert len(load(torch.ones(4, 2).to(dtype))) == 4


def test_changing_the_array_afterwards_does_not_change_the_data() -> None:
    values = TABLE.astype(np.float32)
    data = load(values)
    before = data.x.clone()
    values[:] = 0
    assert torch.equal(data.x, before)


def test_the_hash_depends_on_rows_and_labels_only() -> None:
    first = load((TABLE, np.arange(12) % 2))
    assert first.sha256 == load((TABLE, np.arange(12) % 2), name="other").sha256
    assert first.sha256 != load((TABLE, np.arange(12) % 3)).sha256
    assert first.sha256 != load(TABLE).sha256
    assert first.sha256 != load((TABLE[::-1], np.arange(12) % 2)).sha256


def test_labels_are_coded_in_order_and_named() -> None:
    data = load((TABLE[:5], np.array(["b", "a", "", "c", "a"])))
    assert data.label is not None
    assert data.label.tolist() == [1, 0, -1, 2, 0]
    assert data.spec.label_names == ("a", "b", "c")


def test_minus_1_means_a_missing_label_unless_labels_are_signs() -> None:
    missing, signs = load((TABLE[:4], [-1, 0, 5, 5])), load((TABLE[:4], [-1, 1, 1, -1]))
    assert missing.label is not None
    assert missing.label.tolist() == [-1, 0, 1, 1]
    assert signs.label is not None
    assert signs.label.tolist() == [0, 1, 1, 0]
    assert signs.spec.label_names == ("-1", "1")


def test_missing_numbers_are_missing_labels() -> None:
    data = load((TABLE[:3], np.array([2.0, np.nan, 3.0])))
    assert data.label is not None
    assert data.label.tolist() == [0, -1, 1]
    assert data.spec.label_names == ("2", "3")


def save_npz(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "toy.npz", **arrays)  # type: ignore[arg-type]
    return folder / "toy.npz"


def test_npz_rows_and_labels_have_their_usual_names(tmp_path: Path) -> None:
    data = load(save_npz(tmp_path, X=TABLE, y=np.arange(12) % 2, other=np.ones((3, 3))))
    assert np.allclose(data.x.numpy(), TABLE)
    assert data.label is not None
    assert data.spec.name == "toy"


def test_npz_rows_are_the_only_array_with_two_axes(tmp_path: Path) -> None:
    data = load(save_npz(tmp_path, rows=TABLE, kind=np.arange(12) % 3), label="kind")
    assert data.label is not None
    assert data.label.max() == 2


def test_npz_y_that_is_no_class_is_left_aside_and_said(tmp_path: Path) -> None:
    data = load(save_npz(tmp_path, X=TABLE, y=RANDOM.random(12)))
    assert data.label is None
    assert any("'y' is left aside" in reason for reason in data.spec.reasons)


def test_npz_groups_are_coded(tmp_path: Path) -> None:
    data = load(save_npz(tmp_path, X=TABLE, patient=np.repeat([9, 5, 7], 4)), group="patient")
    assert data.group is not None
    assert data.group.tolist() == np.repeat([2, 0, 1], 4).tolist()


def test_npy_is_read_and_columns_can_be_dropped(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", TABLE)
    data = load(tmp_path / "rows.npy", drop=["column2"])
    assert np.allclose(data.x.numpy(), TABLE[:, [0, 2]])
    assert [column.name for column in data.spec.columns or ()] == ["column1", "column3"]


def test_a_known_name_wins_over_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(load("digits")) == 1797


def refused(source: object, words: str, **settings: object) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load(source, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_misspelt_name_is_refused_with_the_nearest() -> None:
    refused("fashion-mnits", "did you mean 'fashion-mnist'")


def test_a_missing_file_is_named() -> None:
    refused("nowhere/rows.csv", r"no file or folder 'nowhere/rows\.csv'")


def test_a_file_of_another_type_is_refused_with_those_read(tmp_path: Path) -> None:
    (tmp_path / "rows.docx").write_text("x")
    refused(tmp_path / "rows.docx", r"\.docx.*\.csv")


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file" / "rows.csv", "no file")


def test_a_path_that_is_too_long_is_refused() -> None:
    refused("x" * 5000 + ".csv", "cannot be read")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
@pytest.mark.parametrize("content", [b"", b"not numpy", b"PK\x03\x04 cut short", b"\x93NUMPY\x01\x00"])
def test_damaged_numpy_files_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"rows{suffix}").write_bytes(content)
    refused(tmp_path / f"rows{suffix}", "NumPy file")


def test_a_truncated_npz_is_refused(tmp_path: Path) -> None:
    path = save_npz(tmp_path, X=TABLE)
    path.write_bytes(path.read_bytes()[:-150])
    refused(path, "NumPy file")


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_python_objects_are_never_loaded(tmp_path: Path, suffix: str) -> None:
    objects = np.array([[{}, []]], dtype=object)
    np.save(tmp_path / "rows.npy", objects)
    np.savez(tmp_path / "rows.npz", X=objects)
    refused(tmp_path / f"rows{suffix}", "Python objects.*never loaded")


def test_an_npz_without_clear_rows_is_refused_with_its_arrays(tmp_path: Path) -> None:
    refused(save_npz(tmp_path, a=TABLE, b=TABLE), "2 candidates.*a, b")
    refused(save_npz(tmp_path, a=TABLE[0]), "no candidates")


def test_an_unknown_label_array_is_refused_with_the_nearest(tmp_path: Path) -> None:
    refused(save_npz(tmp_path, X=TABLE, target=np.arange(12)), "did you mean 'target'", label="tagret")


def test_labels_of_the_wrong_length_are_refused(tmp_path: Path) -> None:
    refused((TABLE, np.arange(11)), "each of the 12 rows.*11")
    refused(save_npz(tmp_path, X=TABLE, t=np.arange(11)), "each of the 12 rows.*11", label="t")


def test_labels_that_are_no_classes_are_refused() -> None:
    refused((TABLE, RANDOM.random(12)), "does not hold classes")
    refused((TABLE, np.full(12, np.nan)), "only missing labels")


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 8, 8)])
def test_empty_data_are_refused(shape: tuple[int, ...]) -> None:
    refused(np.zeros(shape), "empty")


@pytest.mark.parametrize("shape", [(5,), (), (5, 4, 4, 4), (2, 2, 2, 2, 2)])
def test_other_shapes_are_refused_with_the_remedy(shape: tuple[int, ...]) -> None:
    refused(np.zeros(shape), r"give a table \(N, D\)")


def test_what_is_not_numbers_is_refused() -> None:
    refused(np.array([["a", "b"]]), "not numbers")
    refused(np.ones((2, 2)) + 1j, "not numbers")
    refused([1, 2], "cannot be read from a list")
    refused((TABLE, TABLE, TABLE), "tuple of 3")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_placed_and_counted(bad: float) -> None:
    values = TABLE.copy()
    values[[3, 7], 1] = bad
    refused(values, "column 'column2', row 3 counting from 0, of 2 in that column.*--drop column2")


def test_images_that_are_not_finite_are_placed_and_counted() -> None:
    images = RANDOM.random((6, 4, 4))
    images[2, 1, :2] = np.nan
    images[5, 0, 0] = np.inf
    refused(images, r"2 of 6 images .*\(3 pixels in all\), the first is image 2")


def test_flags_that_can_name_nothing_are_refused() -> None:
    refused("digits", "leave --label out", label="y")
    refused(TABLE, "leave --group out", group="g")
    refused(RANDOM.random((3, 4, 4)), "leave --drop out", drop=["column1"])
    refused(TABLE, "unknown column in --drop", drop=["colum1"])
    refused(TABLE, "every column is dropped", drop=["column1", "column2", "column3"])


def test_rounding_of_large_integers_is_said() -> None:
    assert any("rounded" in reason for reason in load(np.array([[2**24 + 1], [5]])).spec.reasons)
    assert not any("rounded" in reason for reason in load(np.array([[2**24], [5]])).spec.reasons)


def test_the_hash_is_that_of_type_shape_and_little_endian_bytes() -> None:
    rows = b"float32 (2, 2);" + struct.pack("<4f", 0.5, -1, 2, 3)
    labels = b"int64 (2,);" + struct.pack("<2q", 1, 0)
    data = load((np.array([[0.5, -1], [2, 3]]), np.array([7, 4])))
    assert data.sha256 == hashlib.sha256(rows + labels).hexdigest()


def test_the_length_of_data_is_its_rows() -> None:
    data = load(TABLE)
    assert isinstance(data, Data)
    assert len(data) == 12
