"""Files, read back by NumPy and the csv module."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from nelbo.apps import Codes, Samples, check_suffix, write
from nelbo.data import load
from nelbo.data.spec import DataSpec, Kind
from nelbo.errors import ConfigError, StorageError

IMAGES = DataSpec(name="t", event_shape=(1, 8, 8), kind=Kind.UNIT, layout="image")
VALUES = np.random.default_rng(0).random((5, 1, 8, 8), np.float32)


def test_arrays_come_back_bit_by_bit(tmp_path: Path) -> None:
    samples = Samples(VALUES, IMAGES, 0.0, 1.0)
    for name in ("a.npz", "a.npy"):
        write(tmp_path / name, samples)
    assert np.array_equal(np.load(tmp_path / "a.npy"), VALUES)
    with np.load(tmp_path / "a.npz") as archive:
        assert archive.files == ["x"]
        assert np.array_equal(archive["x"], VALUES)


def test_single_precision_survives_a_table(tmp_path: Path) -> None:
    write(tmp_path / "a.csv", Samples(VALUES, IMAGES, 0.0, 1.0))
    found = np.genfromtxt(tmp_path / "a.csv", delimiter=",", names=True)
    assert found.dtype.names[0] == "pixel1"
    flat = np.array(found.tolist(), np.float32)
    assert np.array_equal(flat, VALUES.reshape(5, 64))


def test_samples_written_can_be_read_as_data(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", Samples(VALUES, IMAGES, 0.0, 1.0))
    assert np.array_equal(load(tmp_path / "a.npz").x.numpy(), VALUES)


def test_awkward_labels_are_quoted(tmp_path: Path) -> None:
    names = ("a,b", 'say "so"', "two\nlines")
    write(tmp_path / "z.csv", Codes(np.zeros((3, 1), np.float32), np.arange(3), label=np.arange(3), label_names=names))
    with (tmp_path / "z.csv").open(newline="") as file:
        assert [row["label"] for row in csv.DictReader(file)] == list(names)


def test_capital_endings_are_known_and_others_refused(tmp_path: Path) -> None:
    write(tmp_path / "A.NPY", Samples(VALUES, IMAGES, 0.0, 1.0))
    for name in ("a.jpg", "a"):
        with pytest.raises(ConfigError, match=r"\.png, \.npz, \.npy or \.csv"):
            check_suffix(tmp_path / name, "samples", images=True)
    with pytest.raises(ConfigError, match="not images"):
        write(tmp_path / "z.png", Codes(np.zeros((3, 1), np.float32), np.arange(3)))


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(StorageError):
        write(tmp_path / "file" / "a.npy", Samples(VALUES, IMAGES, 0.0, 1.0))
    assert (tmp_path / "file").read_text() == "old"
