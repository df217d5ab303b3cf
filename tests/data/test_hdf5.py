"""Laws of HDF5 files: arrays and annotated tables come back as written, and every bad file is one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from scipy import sparse

from nelbo.data import columns_in, load, names_in
from nelbo.errors import DataError, MissingExtraError

COUNTS = np.random.default_rng(0).poisson(0.7, (12, 5)) * np.array([1, 1, 0, 40, 3])  # one column is all zeros
GENES = ("Actb", "Gad2", "Vip", "Sox10", "Mog")
TYPES = np.array(["neuron", "glia", "glia", "neuron"] * 3)


def plain(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "toy.h5"
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return path


def annotated(folder: Path, form: str = "dense", counts: np.ndarray = COUNTS) -> Path:
    """A table as AnnData lays it out, written by hand."""
    path = folder / "toy.h5ad"
    with h5py.File(path, "w") as file:
        if form == "dense":
            file["X"] = counts
        else:
            matrix = sparse.csr_array(counts) if form == "csr" else sparse.csc_array(counts)
            group = file.create_group("X")
            group.attrs.update({"encoding-type": f"{form}_matrix", "shape": counts.shape})
            for part in ("data", "indices", "indptr"):
                group[part] = getattr(matrix, part)
        var, obs = file.create_group("var"), file.create_group("obs")
        for frame in (var, obs):
            frame.attrs["_index"] = "names"
        var["names"] = np.array(GENES[: counts.shape[1]], dtype=h5py.string_dtype())
        obs["names"] = np.array([f"cell{i}" for i in range(len(counts))], dtype=h5py.string_dtype())
        obs["donor"] = np.repeat([9, 5, 7], 4)
        obs["plain"] = np.array(TYPES, dtype=h5py.string_dtype())
        types = obs.create_group("type")
        types["categories"] = np.array(["glia", "neuron"], dtype=h5py.string_dtype())
        types["codes"] = np.where(TYPES == "glia", 0, 1).astype(np.int8)
        types["codes"][3] = -1
        masked = obs.create_group("masked")
        masked["values"], masked["mask"] = np.arange(12) % 3, np.arange(12) == 4
    return path


def refused(path: Path, words: str, **settings: object) -> None:
    with pytest.raises(DataError, match=words) as caught:
        load(path, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["X", "x", "counts/raw"])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64, np.uint16])
def test_a_plain_array_comes_back_as_counts(tmp_path: Path, name: str, dtype: type) -> None:
    data = load(plain(tmp_path, **{name: COUNTS.astype(dtype), "other": np.arange(3)}))
    assert np.array_equal(data.x.numpy(), COUNTS)
    assert (data.spec.name, data.label) == ("toy", None)


@pytest.mark.parametrize("name", ["Y", "y"])
def test_labels_have_their_usual_name_or_the_one_asked_for(tmp_path: Path, name: str) -> None:
    path = plain(tmp_path, X=COUNTS, **{name: np.arange(12) % 3 + 1.0}, kind=TYPES.astype("S"))
    usual, asked = load(path), load(path, label="kind")
    assert usual.label is not None
    assert usual.label.tolist() == [0, 1, 2] * 4
    assert usual.spec.label_names == ("1", "2", "3")
    assert asked.spec.label_names == ("glia", "neuron")


def test_the_usual_name_is_left_aside_where_it_holds_no_classes(tmp_path: Path) -> None:
    data = load(plain(tmp_path, X=COUNTS, Y=np.linspace(0, 1, 12)))
    assert data.label is None
    assert any("'Y' is left aside" in reason for reason in data.spec.reasons)


def test_images_in_a_plain_file_are_images(tmp_path: Path) -> None:
    assert load(plain(tmp_path, X=np.zeros((4, 8, 9), np.uint8))).spec.event_shape == (1, 8, 9)


@pytest.mark.parametrize("form", ["dense", "csr", "csc"])
def test_an_annotated_table_is_the_same_in_every_form(tmp_path: Path, form: str) -> None:
    data = load(annotated(tmp_path, form))
    assert np.array_equal(data.x.numpy(), COUNTS)
    assert [column.name for column in data.spec.columns or ()] == list(GENES)
    assert data.spec.kind == "count"


def test_categories_text_and_holes_are_labels(tmp_path: Path) -> None:
    path = annotated(tmp_path)
    data, text, masked = (load(path, label=name) for name in ("type", "plain", "masked"))
    assert data.label is not None
    assert data.spec.label_names == text.spec.label_names == ("glia", "neuron")
    expected = np.where(TYPES == "glia", 0, 1)
    expected[3] = -1  # a code of -1 is a hole
    assert data.label.tolist() == expected.tolist()
    assert masked.label is not None
    assert masked.label.tolist() == [-1 if i == 4 else i % 3 for i in range(12)]


def test_columns_can_be_dropped_and_rows_grouped(tmp_path: Path) -> None:
    data = load(annotated(tmp_path, "csr"), drop=["Vip", "Actb"], group="donor")
    assert [column.name for column in data.spec.columns or ()] == ["Gad2", "Sox10", "Mog"]
    assert np.array_equal(data.x.numpy(), COUNTS[:, [1, 3, 4]])
    assert data.group is not None
    assert data.group.tolist() == np.repeat([2, 0, 1], 4).tolist()


def test_columns_without_names_are_counted(tmp_path: Path) -> None:
    path = annotated(tmp_path)
    with h5py.File(path, "a") as file:
        del file["var"]
    assert [column.name for column in load(path).spec.columns or ()] == [f"column{i}" for i in range(1, 6)]


def test_what_a_file_can_be_asked_for_is_listed(tmp_path: Path) -> None:
    path = annotated(tmp_path)
    assert columns_in(path) == GENES
    assert set(names_in(path) or ()) == {"donor", "plain", "type", "masked"}
    assert names_in(plain(tmp_path, X=COUNTS, Y=np.arange(12))) == ("X", "Y")
    assert columns_in(plain(tmp_path, X=COUNTS)) is None


@pytest.mark.parametrize("suffix", [".h5", ".h5ad", ".hdf5"])
@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n"])
def test_what_is_not_hdf5_is_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"toy{suffix}").write_bytes(content)
    refused(tmp_path / f"toy{suffix}", "not a whole HDF5 file")


@pytest.mark.parametrize("make", [lambda folder: plain(folder, X=np.arange(40_000).reshape(200, 200)), annotated])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_file_is_refused(tmp_path: Path, make: Callable[[Path], Path], share: float) -> None:
    path = make(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(path, "not a whole HDF5 file")


def test_a_plain_file_without_clear_rows_is_refused_with_its_arrays(tmp_path: Path) -> None:
    refused(plain(tmp_path, a=COUNTS, b=COUNTS), "2 candidates.*a, b.*name the one with the rows 'X'")
    refused(plain(tmp_path, a=np.arange(3)), "no candidates")
    refused(plain(tmp_path, X=np.array([[b"a", b"b"]])), "not numbers")


def test_a_name_that_is_not_there_is_refused_with_the_nearest(tmp_path: Path) -> None:
    refused(plain(tmp_path, X=COUNTS, kind=np.arange(12)), "array .*did you mean 'kind'", label="knd")
    refused(annotated(tmp_path), "column of obs .*did you mean 'type'", label="types")
    refused(annotated(tmp_path), "did you mean 'Gad2'", drop=["gad2"])


def test_a_name_among_thousands_is_refused_without_listing_them_all(tmp_path: Path) -> None:
    path = tmp_path / "wide.npy"
    np.save(path, np.zeros((2, 3_000)))
    refused(path, r"did you mean 'column\d+'\? known: .* and 2950 more$", drop=["colum77"])


def without(path: Path, name: str) -> Path:
    with h5py.File(path, "a") as file:
        del file[name]
    return path


def with_part(path: Path, name: str, values: object) -> Path:
    with h5py.File(without(path, name), "a") as file:
        file[name] = values
    return path


def test_a_table_without_a_matrix_is_refused(tmp_path: Path) -> None:
    path = without(annotated(tmp_path), "X")
    with h5py.File(path, "a") as file:
        file["layers/spliced"] = COUNTS
    refused(path, r"no matrix X \(layers: spliced\)")
    refused(with_part(annotated(tmp_path), "X", np.arange(3)), "not a matrix of rows by columns")


@pytest.mark.parametrize("form", ["csr", "csc"])
@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("X/indptr", lambda values: values[:-1]),
        ("X/indptr", lambda values: values[::-1]),
        ("X/indices", lambda values: values + 1_000),
        ("X/indices", lambda values: values - 1),
        ("X/data", lambda values: values[:3]),
    ],
)
def test_a_sparse_matrix_that_does_not_fit_together_is_refused(
    tmp_path: Path, form: str, part: str, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    path = annotated(tmp_path, form)
    with h5py.File(path) as file:
        values = file[part][()]
    refused(with_part(path, part, change(values)), "sparse matrix X .* does not fit together")


def test_parts_of_another_length_are_refused(tmp_path: Path) -> None:
    refused(with_part(annotated(tmp_path), "var/names", np.array([b"a", b"b"])), "names 2 columns, but X has 5")
    refused(with_part(annotated(tmp_path), "var/names", np.array([b"a"] * 5)), "two columns 'a'")
    refused(with_part(annotated(tmp_path), "obs/donor", np.arange(3)), "each of the 12 rows", label="donor")
    refused(with_part(annotated(tmp_path), "obs/type/codes", np.full(12, 7)), "do not fit its codes", label="type")


def test_a_matrix_larger_than_the_memory_is_refused_unread(tmp_path: Path) -> None:
    path = without(annotated(tmp_path), "X")
    with h5py.File(path, "a") as file:
        file.create_dataset("X", (10_000_000, 50_000), dtype="f4", chunks=(1_000, 1_000))
    refused(path, "1863 GiB .* select columns or rows first")


def test_without_h5py_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plain(tmp_path, X=COUNTS)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"needs h5py.*pip install 'nelbo\[hdf5\]'"):
        load(path)


def test_a_table_of_whole_numbers_is_counts_though_some_columns_are_binary(tmp_path: Path) -> None:
    data = load(annotated(tmp_path, "csr", COUNTS.astype(np.float32)))
    assert data.x.dtype == torch.float32
    assert data.spec.kind == "count"
    assert load(annotated(tmp_path, counts=COUNTS + 0.5)).spec.kind != "count"
    assert load(annotated(tmp_path, counts=COUNTS % 2)).spec.kind == "binary"
