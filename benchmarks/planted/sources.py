"""Rows of data sets that are files of other programs, or of which only some columns are wanted."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from scipy.io import loadmat

from nelbo.data import load
from nelbo.errors import DataError

__all__ = ["read"]

Values = np.ndarray[Any, Any]
GENES = 200
FIELDS = (1, 2, 4, 5, 6, 7)  # of an abalone: lengths and weights but for the height, which has tails


def read(source: str) -> Values:
    """All rows, [N, ...].

    Parameters
    ----------
    source
        A name that `nelbo.data.load` knows, or the path of a file below NELBO_DATA.

    Raises
    ------
    DataError
        If the file is not there.
    """
    if "/" not in source:
        return load(source).x.numpy()
    file = Path(os.environ.get("NELBO_DATA", ".")) / source
    if not file.is_file():
        raise DataError(f"{file} is not there; name the folder that holds the data sets by NELBO_DATA")
    reader = READERS.get(source)
    return load(str(file)).x.numpy() if reader is None else reader(file)


def _silhouettes(file: Path) -> Values:
    """The training images of the Caltech 101 silhouettes, foreground 1."""
    images: Values = loadmat(file)["train_data"]
    return 1 - images.reshape(-1, 28, 28)


def _heartbeats(file: Path) -> Values:
    """The first third of each heartbeat, every second value: later ones have tails."""
    with np.load(file) as arrays:
        beats: Values = arrays["X"]
    return beats[:, :50:2]


def _abalones(file: Path) -> Values:
    return np.loadtxt(file, delimiter=",", usecols=FIELDS)


def _pictures(file: Path) -> Values:
    """Grey pictures of 16 x 16 bytes, each the mean of a square of four and of three colours."""
    with np.load(file) as arrays:
        pictures: Values = arrays["X"]
    squares = pictures.reshape(len(pictures), 16, 2, 16, 2, 3).mean((2, 4, 5))
    return squares.round().astype(np.uint8)


def _genes(file: Path) -> Values:
    """Which genes each cell expresses, of those that about half of the cells do."""
    with h5py.File(file) as content:
        expressed: Values = content["X"][:] > 0
    often = np.abs(expressed.mean(0) - 0.5)
    return expressed[:, np.sort(np.argsort(often, kind="stable")[:GENES])].astype(np.uint8)


READERS: Mapping[str, Callable[[Path], Values]] = {
    "caltech101-silhouettes/caltech101_silhouettes_28_split1.mat": _silhouettes,
    "cifar10-5000/cifar10_lossless5000.npz": _pictures,
    "ecg5000/ecg5000_recovered.npz": _heartbeats,
    "single-cell/mouse_bladder_cell_select_2100.h5": _genes,
    "tabular/abalone.csv": _abalones,
}
