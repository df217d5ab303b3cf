"""Laws of named data sets: where files are found, what is verified, what is in them. No test touches the net."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from nelbo.data import Kind, catalogue, load
from nelbo.data.datasets import NAMES, is_sequence, read_named
from nelbo.data.idx import parse_idx
from nelbo.data.store import KnownFile, Store, default_store
from nelbo.errors import DataError

CONTENT = b"seven words"
KNOWN = KnownFile("file.gz", hashlib.sha256(CONTENT).hexdigest(), "http://mirror.invalid/file.gz")


def never(url: str) -> bytes:
    raise AssertionError(f"{url} was fetched")


def test_a_file_in_the_users_folder_is_used_first(tmp_path: Path) -> None:
    for folder in ("own", "cache"):
        (tmp_path / folder / "toy").mkdir(parents=True)
        (tmp_path / folder / "toy" / KNOWN.name).write_bytes(gzip.compress(CONTENT))
    store = Store([tmp_path / "own", tmp_path / "cache"], never)
    assert store.path("toy", KNOWN) == tmp_path / "own" / "toy" / KNOWN.name
    assert store.content("toy", KNOWN) == CONTENT


def test_a_missing_file_is_fetched_once_and_kept_in_the_cache(tmp_path: Path) -> None:
    fetched = []

    def fetch(url: str) -> bytes:
        fetched.append(url)
        return gzip.compress(CONTENT)

    store = Store([tmp_path / "own", tmp_path / "cache"], fetch)
    assert store.content("toy", KNOWN) == store.content("toy", KNOWN) == CONTENT
    assert fetched == [KNOWN.url]
    assert [path.name for path in (tmp_path / "cache" / "toy").iterdir()] == [KNOWN.name]


def test_another_compression_of_the_same_content_is_accepted(tmp_path: Path) -> None:
    store = Store([tmp_path], lambda url: gzip.compress(CONTENT, compresslevel=1))
    assert store.content("toy", KNOWN) == CONTENT


@pytest.mark.parametrize(
    "answer",
    [gzip.compress(b"other"), b"<html>not here</html>", gzip.compress(CONTENT)[:-4]],
    ids=["of another file", "no archive", "cut"],
)
def test_a_wrong_or_broken_download_is_refused_and_not_kept(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(DataError, match=r"SHA-256|cut short"):
        Store([tmp_path], lambda url: answer).content("toy", KNOWN)
    assert not (tmp_path / "toy").exists()


def test_a_damaged_file_on_disk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / KNOWN.name).write_bytes(gzip.compress(CONTENT)[:-9])
    with pytest.raises(DataError, match="cut short"):
        Store([tmp_path], never).content("toy", KNOWN)


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        Store([tmp_path / "file"], lambda url: gzip.compress(CONTENT)).content("toy", KNOWN)


@pytest.mark.parametrize(
    ("name", "folder"),
    [(name, name) for name in ("binarized-mnist", "frey-faces", "single-cell")] + [("smfish", "single-cell")],
)
def test_what_has_no_mirror_says_which_file_goes_where(tmp_path: Path, name: str, folder: str) -> None:
    with pytest.raises(DataError, match=rf"put .*\.(npz|npy|h5|h5ad) into the folder {folder} below \$NELBO_DATA"):
        read_named(name, Store([tmp_path], never))


def test_the_default_store_looks_in_nelbo_data_then_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NELBO_DATA", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    place = tmp_path / "cache" / "nelbo" / "toy" / KNOWN.name
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)
    assert default_store().find("toy", KNOWN) == place
    (tmp_path / "own" / "toy").mkdir(parents=True)
    (tmp_path / "own" / "toy" / KNOWN.name).write_bytes(CONTENT)
    assert default_store().find("toy", KNOWN) == tmp_path / "own" / "toy" / KNOWN.name


@pytest.mark.parametrize("name", ["binarized-mnist/binarized_mnist_packed.npz", "frey-faces/freyfaces.npy"])
def test_other_content_under_a_known_name_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir()
    if path.suffix == ".npy":
        np.save(path, np.zeros((1965, 560), np.uint8))
    else:
        np.savez(path, **{part: np.zeros((2, 98), np.uint8) for part in ("train", "valid", "test")})
    with pytest.raises(DataError, match="SHA-256"):
        read_named(path.parent.name, Store([tmp_path], never))
    path.write_bytes(b"broken")
    with pytest.raises(DataError, match="damaged"):
        read_named(path.parent.name, Store([tmp_path], never))


def test_the_catalogue_says_what_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NELBO_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = {info.name: info for info in catalogue()}
    assert tuple(found) == NAMES
    assert found["digits"].available
    assert (found["shapes"].available, found["shapes"].where) == (True, "drawn by nelbo")
    assert not found["mnist"].available
    assert found["mnist"].where == "fetched on first use"
    assert found["frey-faces"].where == "not here"
    assert all(info.citation and info.licence and info.rows for info in found.values())


def test_only_the_film_is_a_sequence() -> None:
    assert [name for name in NAMES if is_sequence(name)] == ["frey-faces"]


def idx(values: np.ndarray, code: int) -> bytes:
    big = values.astype(values.dtype.newbyteorder(">"))
    return bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape) + big.tobytes()


@pytest.mark.parametrize(("dtype", "code"), [("u1", 8), ("i2", 11), ("i4", 12), ("f4", 13), ("f8", 14)])
def test_idx_files_give_back_their_array(dtype: str, code: int) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    assert np.array_equal(parse_idx(idx(values, code), "toy"), values)


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[:6], lambda b: b"\1" + b[1:]])
def test_damaged_idx_files_are_refused(change: object) -> None:
    whole = idx(np.arange(6, dtype=np.uint8).reshape(2, 3), 8)
    with pytest.raises(DataError, match="toy"):
        parse_idx(change(whole), "toy")  # type: ignore[operator]


@pytest.mark.data
def test_catalogue_agrees_with_the_real_data() -> None:
    for info in catalogue():
        data = load(info.name)
        assert data.x.shape == (info.rows, *info.shape)
        assert data.x.dtype == (torch.float32 if info.kind is Kind.COUNT else torch.uint8)
        assert (data.spec.kind, data.spec.levels) == (info.kind, info.levels)
        assert len(data.spec.label_names or ()) == info.labels
        assert (data.label is None) == (info.labels == 0)


@pytest.mark.data
def test_mnist_is_the_published_one() -> None:
    data = load("mnist")
    train = data.x[data.official["train"]].numpy()
    header = struct.pack(">4I", 0x803, 60_000, 28, 28)
    assert hashlib.md5(header + train.tobytes()).hexdigest() == "6bbc9ace898e44ae57da46a324031adb"
    assert data.label is not None
    assert data.label[:5].tolist() == [5, 0, 4, 1, 9]
    assert torch.bincount(data.label[data.official["test"]]).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip


@pytest.mark.data
def test_frey_faces_are_28_high_and_20_wide() -> None:
    film = np.load(Path(os.environ["NELBO_DATA"]) / "frey-faces" / "freyfaces.npy")
    data = load("frey-faces")
    assert np.array_equal(data.x[100, 0].numpy(), film[100].reshape(28, 20))


@pytest.mark.data
def test_binarised_mnist_has_its_three_official_parts() -> None:
    data = load("binarized-mnist")
    assert {part: len(rows) for part, rows in data.official.items()} == {
        "train": 50_000,
        "validation": 10_000,
        "test": 10_000,
    }
    assert data.x.max() == 1
    archive = np.load(Path(os.environ["NELBO_DATA"]) / "binarized-mnist" / "binarized_mnist_packed.npz")
    last = np.unpackbits(archive["test"][-1])
    assert np.array_equal(data.x[-1].flatten().numpy(), last)


@pytest.mark.data
def test_cells_have_the_counts_and_types_of_the_files() -> None:
    import h5py

    folder = Path(os.environ["NELBO_DATA"]) / "single-cell"
    bladder, tissue = load("single-cell"), load("smfish")
    with h5py.File(folder / "mouse_bladder_cell_select_2100.h5") as file:
        assert np.array_equal(bladder.x[17].numpy(), file["X"][17])
        assert bladder.label is not None
        assert np.array_equal(bladder.label.numpy(), file["Y"][()] - 1)
    with h5py.File(folder / "smfish.h5ad") as file:
        assert np.array_equal(tissue.x.numpy(), file["X"][()])
        words = file["obs/str_labels/categories"].asstr()[()]
        assert tissue.label is not None
        assert tissue.spec.label_names is not None
        assert [tissue.spec.label_names[code] for code in tissue.label] == list(words[file["obs/str_labels/codes"][()]])
        assert [column.name for column in tissue.spec.columns or ()] == list(file["var/_index"].asstr()[()])
