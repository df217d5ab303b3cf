"""What an application made, written in the form that the ending of a file asks for."""

from __future__ import annotations

import csv
import io
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from nelbo.data.raw import Array
from nelbo.data.spec import DataSpec
from nelbo.errors import ConfigError
from nelbo.storage import write_bytes

__all__ = ["PICTURE", "TABULAR", "Result", "cell_names", "check_suffix", "write"]

PICTURE = ".png"
TABULAR = (".npz", ".npy", ".csv")


class Result(ABC):
    """Arrays of N rows that can be written to a file."""

    @abstractmethod
    def arrays(self) -> Mapping[str, Array]:
        """What a .npz file holds, by name; the first is what a .npy file holds."""

    @abstractmethod
    def columns(self) -> Mapping[str, Array]:
        """What a .csv file holds: one-dimensional arrays by the name of their column."""

    @abstractmethod
    def picture(self) -> bytes | None:
        """A PNG file, or None where there is nothing to look at."""


def check_suffix(path: Path, what: str, *, images: bool) -> None:
    """Refuse a file whose ending cannot be written, before anything is computed.

    Parameters
    ----------
    what
        What would be written, for the message: `samples of 'digits'`.
    images
        Whether it can be looked at.

    Raises
    ------
    ConfigError
        The message lists the endings there are.
    """
    legal = (PICTURE, *TABULAR) if images else TABULAR
    suffix = path.suffix.lower()
    if suffix in legal:
        return
    endings = f"use {', '.join(legal[:-1])} or {legal[-1]}"
    if suffix == PICTURE:
        raise ConfigError(f"'{path}' would be a picture, but {what} are not images; {endings}")
    raise ConfigError(f"'{path}' has the ending {path.suffix or 'of no file type'!r}, which is not written; {endings}")


def write(path: Path, result: Result) -> None:
    """Write a result by the ending of the file: .png, .npz, .npy or .csv; the file is whole or absent.

    Raises
    ------
    ConfigError
        If the ending is none of these, or a picture was asked for of what is none.
    StorageError
        If the place cannot be written.
    """
    suffix = path.suffix.lower()
    picture = result.picture() if suffix == PICTURE else None
    check_suffix(path, "these rows", images=picture is not None)
    if picture is not None:
        write_bytes(path, picture)
    elif suffix == ".csv":
        write_bytes(path, _csv(result.columns()))
    else:
        write_bytes(path, _numpy(result.arrays(), single=suffix == ".npy"))


def cell_names(spec: DataSpec) -> tuple[str, ...]:
    """A name for each value of a row: the columns of a table, or pixel1, pixel2, ... channel by channel."""
    if spec.columns is not None:
        return tuple(column.name for column in spec.columns)
    return tuple(f"pixel{number}" for number in range(1, spec.dim + 1))


def _numpy(arrays: Mapping[str, Array], *, single: bool) -> bytes:
    file = io.BytesIO()
    if single:
        np.save(file, next(iter(arrays.values())), allow_pickle=False)
    else:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, values in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, values, allow_pickle=False)
    return file.getvalue()


def _csv(columns: Mapping[str, Array]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(zip(*(_cells(values) for values in columns.values()), strict=True))
    return text.getvalue().encode()


def _cells(values: Array) -> list[object]:
    """Nine digits tell single-precision numbers apart."""
    cells: list[object] = (np.char.mod("%.9g", values) if values.dtype.kind == "f" else values).tolist()
    return cells
