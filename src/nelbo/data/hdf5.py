"""HDF5 files: plain arrays (.h5) and annotated tables of cells by genes (.h5ad)."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nelbo.data.arrays import (
    FACTOR_NAMES,
    FACTORS,
    TABLE,
    column_names,
    drop_columns,
    factor_arrays,
    from_array,
    label_key,
    rows_key,
)
from nelbo.data.raw import Array, Raw
from nelbo.data.spec import Kind
from nelbo.errors import DataError, MissingExtraError, unknown

if TYPE_CHECKING:
    import h5py

__all__ = ["read_h5", "read_h5_arrays", "read_h5_names", "read_h5ad", "read_h5ad_names", "read_h5ad_obs"]

Place = Path | tuple[str, bytes]  # a file, or a name and the content of one
DAMAGED = (OSError, KeyError, RuntimeError, ValueError, TypeError)  # all that h5py raises at a broken file
SPARSE = ("csr", "csc")
LABELS = ("y", "Y")
CELL = 4  # bytes of a value in single precision
REMEDY = "make it anew, or give a .csv or .npz file"


def read_h5(place: Place, label: str | None, group: str | None, drop: Sequence[str] = ()) -> Raw:
    """Rows from a plain HDF5 file: the array `X` or `x`, or the only one with two axes or more.

    Labels are the array named by `label`, or `Y` or `y` where it holds a class for each row; factors of variation are
    the array `factors`, named by `factor_names`.

    Raises
    ------
    DataError
        If the file is not HDF5, is damaged, has no such array, or `label` or `group` name none.
    MissingExtraError
        If h5py is not installed.
    """
    with _opened(place) as (file, where):
        arrays = _arrays(file)
        for asked in (label, group):
            if asked is not None and asked not in arrays:
                raise unknown(f"array in '{where}'", asked, arrays, DataError)
        key = rows_key(Path(where), arrays, {label, group})
        _refuse_too_large(where, arrays[key].shape)
        raw = from_array(arrays[key][()], Path(where).stem, f"array {key!r} of '{where}'", drop)
        wanted = {label, group, *LABELS, FACTORS, FACTOR_NAMES}
        columns = {name: _text(each[()]) for name, each in arrays.items() if name in wanted and name != key}
        label, reasons = label_key(columns, key, label, raw.values.shape[0], LABELS)
        factors, how = factor_arrays(columns, key, raw.values.shape[0])
        return Raw(
            raw.values,
            raw.layout,
            raw.name,
            raw.names,
            label=None if label is None else columns[label],
            group=None if group is None else columns[group],
            factors=factors,
            reasons=(f"rows are the array {key!r}", *reasons, *how),
        )


def read_h5ad(place: Place, label: str | None, group: str | None, drop: Sequence[str] = ()) -> Raw:
    """Rows from an annotated table: the matrix `X`, dense or sparse, its columns named by the index of `var`.

    A matrix of whole numbers from 0 to beyond 1 holds counts, also where some columns never exceed 1.
    Labels and groups are columns of `obs`; categories are read by their names.

    Raises
    ------
    DataError
        If the file is not HDF5, is damaged, has no matrix `X`, or `label`, `group` or `drop` name no column.
    MissingExtraError
        If h5py is not installed.
    """
    with _opened(place) as (file, where):
        values = _matrix(file, where)
        names = _index(file, "var", values.shape[1], where)
        raw = from_array(values, Path(where).stem, f"the matrix X of '{where}'")
        values, kept = drop_columns(raw.values, names, drop)
        columns = _columns(file, "obs")
        for asked in (label, group):
            if asked is not None and asked not in columns:
                raise unknown(f"column of obs in '{where}'", asked, columns, DataError)
        return Raw(
            values,
            "table",
            raw.name,
            kept,
            kind=Kind.COUNT if _are_counts(values) else None,
            label=None if label is None else _column(columns[label], label, where),
            group=None if group is None else _column(columns[group], group, where),
            reasons=() if label is None else (f"labels are the column {label!r} of obs",),
        )


def read_h5_arrays(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Arrays of a plain HDF5 file by their names."""
    with _opened(path) as (file, where):
        arrays = _arrays(file)
        for name in names:
            if name not in arrays:
                raise unknown(f"array in '{where}'", name, arrays, DataError)
        return {name: _text(arrays[name][()]) for name in names}


def read_h5ad_obs(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Columns of `obs` of an annotated table by their names."""
    with _opened(path) as (file, where):
        columns = _columns(file, "obs")
        for name in names:
            if name not in columns:
                raise unknown(f"column of obs in '{where}'", name, columns, DataError)
        return {name: _column(columns[name], name, where) for name in names}


def read_h5_names(path: Path) -> tuple[str, ...]:
    """The names of the arrays of a plain HDF5 file."""
    with _opened(path) as (file, _):
        return tuple(_arrays(file))


def read_h5ad_names(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the columns of an annotated table, and of those of `obs` that annotate its rows."""
    with _opened(path) as (file, where):
        return _index(file, "var", _shape(file, where)[1], where), tuple(_columns(file, "obs"))


@contextmanager
def _opened(place: Place) -> Iterator[tuple[h5py.File, str]]:
    """The open file and what to call it; whatever a broken file raises is one sentence."""
    try:
        import h5py
    except ImportError:
        raise MissingExtraError(
            "reading .h5 and .h5ad files needs h5py, which is not installed; install it with: pip install 'nelbo[hdf5]'"
        ) from None
    where = str(place) if isinstance(place, Path) else place[0]
    if isinstance(place, Path) and not os.access(place, os.R_OK):
        raise DataError(f"'{place}' cannot be read; give a path that can")
    try:
        with h5py.File(place if isinstance(place, Path) else io.BytesIO(place[1]), "r") as file:
            yield file, where
    except DAMAGED as error:
        raise DataError(f"'{where}' is not a whole HDF5 file ({_first_line(error)}); {REMEDY}") from None


def _first_line(error: Exception) -> str:
    return str(error).strip("'\"").splitlines()[0] if str(error) else type(error).__name__


def _arrays(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Every array of the file by its path, those without values left out."""
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "ndim") and item.shape is not None:
            found[name] = item

    file.visititems(visit)
    return found


def _matrix(file: h5py.File, where: str) -> Array:
    shape = _shape(file, where)
    _refuse_too_large(where, shape)
    matrix = file["X"]
    if hasattr(matrix, "ndim"):
        return np.asarray(matrix[()])
    return _dense(matrix, shape, where)


def _shape(file: h5py.File, where: str) -> tuple[int, int]:
    """Rows and columns of the matrix `X`, refused where there is none."""
    matrix = file.get("X")
    if matrix is None:
        layers = ", ".join(file.get("layers", ())) or "none"
        raise DataError(f"'{where}' holds no matrix X (layers: {layers}); store the one to model as X")
    sparse = matrix.attrs.get("shape", matrix.attrs.get("h5sparse_shape"))
    shape = matrix.shape if hasattr(matrix, "ndim") else sparse
    if shape is None or len(shape) != TABLE:
        raise DataError(f"X of '{where}' is not a matrix of rows by columns; store one as X")
    return int(shape[0]), int(shape[1])


def _dense(matrix: h5py.Group, shape: tuple[int, int], where: str) -> Array:
    """A compressed sparse matrix, by rows or by columns, with its zeros."""
    from scipy.sparse import csc_array, csr_array

    form = _word(matrix.attrs.get("encoding-type", matrix.attrs.get("h5sparse_format", "")))[:3]
    if form not in SPARSE:
        raise DataError(f"X of '{where}' is neither an array nor a csr or csc matrix; store it as one of these")
    data, indices, indptr = (matrix[name][()] for name in ("data", "indices", "indptr"))
    try:
        made = (csr_array if form == "csr" else csc_array)((data, indices, indptr), shape=shape)
        made.check_format(full_check=True)
    except ValueError as error:
        raise DataError(f"the sparse matrix X of '{where}' does not fit together ({error}); {REMEDY}") from None
    return np.asarray(made.toarray())


def _are_counts(values: Array) -> bool:
    if values.dtype.kind == "f" and not all(bool((row == np.floor(row)).all()) for row in values):
        return False
    return float(values.min()) >= 0 and float(values.max()) > 1


def _refuse_too_large(where: str, shape: Sequence[int]) -> None:
    """Rows are held in memory with their zeros; what cannot fit is refused before the machine is brought down."""
    needed = CELL * int(np.prod(shape, dtype=np.float64))
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not told on this system
        return
    if needed > memory:
        raise DataError(
            f"'{where}' holds {' x '.join(map(str, shape))} values, {needed / 2**30:.0f} GiB in single precision, more "
            "than the memory of this machine; select columns or rows first, e.g. the most variable ones"
        )


def _index(file: h5py.File, table: str, length: int, where: str) -> tuple[str, ...]:
    """The names that index `var` or `obs`; counted columns where there are none."""
    frame = file.get(table)
    name = None if frame is None or not hasattr(frame, "keys") else _word(frame.attrs.get("_index", "_index"))
    if name is None or name not in frame:
        return column_names(length)
    names = tuple(str(each) for each in _column(frame[name], name, where))
    if len(names) != length:
        raise DataError(f"{table} of '{where}' names {len(names)} columns, but X has {length}; {REMEDY}")
    if len(set(names)) < length:
        seen: set[str] = set()
        twice = next(each for each in names if each in seen or seen.add(each))  # type: ignore[func-returns-value]
        raise DataError(f"{table} of '{where}' names two columns {twice!r}; give each its own name")
    return names


def _columns(file: h5py.File, table: str) -> Mapping[str, Any]:
    """The columns of `obs` but its index."""
    frame = file.get(table)
    if frame is None or not hasattr(frame, "keys"):  # tables of one compound array are those of very old files
        return {}
    index = _word(frame.attrs.get("_index", "_index"))
    return {name: frame[name] for name in frame if name != index and not name.startswith("__")}


def _column(item: Any, name: str, where: str) -> Array:
    """A column as numbers or text: an array, categories, or values with holes."""
    if hasattr(item, "ndim"):
        return _text(item[()])
    if "categories" in item and "codes" in item:
        words, codes = _text(item["categories"][()]), item["codes"][()]
        if not len(words) or int(codes.max(initial=-1)) >= len(words):
            raise DataError(f"the categories of column {name!r} of '{where}' do not fit its codes; {REMEDY}")
        return _with_holes(words[codes], codes < 0)
    if "values" in item and "mask" in item:
        return _with_holes(_text(item["values"][()]), item["mask"][()].astype(bool))
    raise DataError(f"column {name!r} of '{where}' is of a form that is not read; use another")


def _with_holes(values: Array, hole: Array) -> Array:
    if not hole.any():
        return values
    return np.asarray(np.where(hole, "" if values.dtype.kind == "U" else np.nan, values))


def _text(values: Any) -> Array:
    """Bytes as text, all else as it is."""
    read: Array = np.asarray(values)
    if read.dtype.kind not in "OS":
        return read
    return np.array([_word(each) for each in read.reshape(-1)], dtype=np.str_).reshape(read.shape)


def _word(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
