"""Arrays in memory, .npy and .npz files, as rows of images or of a table."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np
from torch import Tensor

from nelbo.data.labels import are_classes
from nelbo.data.raw import Array, Raw
from nelbo.data.spec import Layout
from nelbo.errors import DataError, unknown

__all__ = [
    "Sparse",
    "column_names",
    "drop_columns",
    "factor_arrays",
    "from_array",
    "from_sparse",
    "is_sparse",
    "label_key",
    "one_by_one",
    "read_arrays",
    "read_keys",
    "read_npy",
    "read_npz",
    "rows_key",
]

CHANNELS = (1, 3)
TABLE, GREY, COLOUR = 2, 3, 4  # numbers of axes
SINGLE = 4  # bytes of a value in single precision
MOST_DENSE = 16 * 2**30  # bytes of a sparse matrix in single precision with its zeros
FACTORS, FACTOR_NAMES = "factors", "factor_names"
DAMAGED = (ValueError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, NotImplementedError)


class Sparse(Protocol):
    """What is asked of a sparse matrix or array of SciPy."""

    @property
    def shape(self) -> tuple[int, ...]:
        """N, D."""

    def toarray(self) -> Array:
        """The same values [N, D] with their zeros."""


def from_array(source: Array | Tensor, name: str, what: str, drop: Sequence[str] = ()) -> Raw:
    """Rows from an array or a tensor: (N, D) is a table, (N, H, W) and the like are images.

    Images come as (N, H, W), (N, H, W, 1 or 3) or (N, 1 or 3, H, W).

    Raises
    ------
    DataError
        If the array has no rows, another shape, or does not hold numbers.
    """
    values = _numbers(source.detach().cpu() if isinstance(source, Tensor) else source, what)
    values, layout = _arrange(values, what)
    if layout == "image" and drop:
        raise DataError(f"--drop {drop[0]} names a column, but {what} holds images; leave --drop out")
    if layout == "image":
        return Raw(values, layout, name)
    values, names = drop_columns(values, column_names(values.shape[1]), drop)
    return Raw(values, layout, name, names)


def is_sparse(source: object) -> TypeGuard[Sparse]:
    """Whether this is a sparse matrix or array of SciPy, of any format."""
    from scipy.sparse import issparse

    return bool(issparse(source))


def from_sparse(source: Sparse, drop: Sequence[str] = ()) -> Raw:
    """Rows [N, D] from a sparse matrix of SciPy, with its zeros.

    Raises
    ------
    DataError
        If the matrix is empty, has not two axes, does not hold numbers, or would be too large with its zeros.
    """
    shape = " x ".join(map(str, source.shape))
    if len(source.shape) != TABLE:
        raise DataError(f"the sparse array has the shape {shape}; give a table (N, D)")
    needed = SINGLE * source.shape[0] * source.shape[1]
    if needed > MOST_DENSE:
        raise DataError(
            f"the sparse matrix has {shape} values, {needed / 2**30:.1f} GiB in single precision with its zeros, but "
            f"at most {MOST_DENSE / 2**30:.0f} GiB are read; select columns or rows first, e.g. the most variable ones"
        )
    return from_array(source.toarray(), "matrix", "the sparse matrix", drop)


def read_npy(path: Path, drop: Sequence[str] = ()) -> Raw:
    """Rows from a .npy file; nothing in it is executed."""
    try:
        values = np.load(path, allow_pickle=False)
        if not isinstance(values, np.ndarray):
            raise ValueError("an archive")
    except DAMAGED as error:
        raise _damaged(path, error) from None
    return from_array(values, path.stem, f"'{path}'", drop)


def read_npz(path: Path, label: str | None, group: str | None, drop: Sequence[str] = ()) -> Raw:
    """Rows from a .npz file: the array `X` or `x`, or the only one with two axes or more.

    Labels are the array named by `label`, or `y` where it holds a class for each row; factors of variation are the
    array `factors`, named by `factor_names`.
    """
    arrays = _all_arrays(path, (label, group))
    key = rows_key(path, arrays, {label, group})
    raw = from_array(arrays[key], path.stem, f"array {key!r} of '{path}'", drop)
    reasons = [f"rows are the array {key!r}"]
    label, reason = label_key(arrays, key, label, raw.values.shape[0])
    factors, how = factor_arrays(arrays, key, raw.values.shape[0])
    reasons += [*reason, *how]
    return Raw(
        raw.values,
        raw.layout,
        raw.name,
        raw.names,
        label=None if label is None else arrays[label],
        group=None if group is None else arrays[group],
        factors=factors,
        reasons=tuple(reasons),
    )


def read_arrays(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Arrays of a .npz file by their names."""
    arrays = _all_arrays(path, names)
    return {name: arrays[name] for name in names}


def _all_arrays(path: Path, asked: Sequence[str | None]) -> dict[str, Array]:
    """Every array of a .npz file, those asked for among them."""
    try:
        opened = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            raise ValueError("a single array")
        with opened as archive:
            for name in asked:
                if name is not None and name not in archive.files:
                    raise unknown(f"array in '{path}'", name, archive.files, DataError)
            return {key: _member(archive[key], key) for key in archive.files}
    except DAMAGED as error:
        raise _damaged(path, error) from None


def read_keys(path: Path) -> tuple[str, ...]:
    """The names of the arrays of a .npz file."""
    try:
        opened = np.load(path, allow_pickle=False)
        if isinstance(opened, np.ndarray):
            raise ValueError("a single array")
        with opened as archive:
            return tuple(archive.files)
    except DAMAGED as error:
        raise _damaged(path, error) from None


def column_names(count: int) -> tuple[str, ...]:
    """Names for columns that have none, counted from 1 as a spreadsheet does."""
    return tuple(f"column{number}" for number in range(1, count + 1))


def drop_columns(values: Array, names: tuple[str, ...], drop: Sequence[str]) -> tuple[Array, tuple[str, ...]]:
    """The table without the columns named."""
    for each in drop:
        if each not in names:
            raise unknown("column in --drop", each, names, DataError)
    if not drop:
        return values, names
    kept = [number for number, each in enumerate(names) if each not in drop]
    if not kept:
        raise DataError("every column is dropped; keep at least one")
    return values[:, kept], tuple(names[number] for number in kept)


def _member(values: Array, key: str) -> Array:
    if values.dtype.kind == "O":  # NumPy has refused already; this keeps the promise whatever its version
        raise ValueError(f"array {key!r} holds Python objects")
    return values


def rows_key(path: Path, arrays: Mapping[str, Any], taken: set[str | None]) -> str:
    """The name of the array that holds the rows; of the arrays only the number of axes is read."""
    for key in ("X", "x"):
        if key in arrays:
            return key
    wide = [key for key, values in arrays.items() if values.ndim >= TABLE and key not in taken]
    if len(wide) > 1:
        wide = [key for key in wide if key != FACTORS]
    if len(wide) == 1:
        return wide[0]
    found = ", ".join(arrays) or "none"
    raise DataError(
        f"'{path}' holds no array 'X' and {len(wide) or 'no'} candidates with two axes or more "
        f"(arrays: {found}); name the one with the rows 'X'"
    )


def label_key(
    arrays: Mapping[str, Array], key: str, label: str | None, rows: int, usual: Sequence[str] = ("y",)
) -> tuple[str | None, list[str]]:
    """The name of the array that holds the labels, that asked for or a usual one, and how it was chosen."""
    if label is not None:
        return label, [f"labels are the array {label!r}"]
    name = next((each for each in usual if each in arrays and each != key), None)
    if name is None:
        return None, []
    if arrays[name].shape == (rows,) and are_classes(arrays[name]):
        return name, [f"labels are the array {name!r}"]
    return None, [f"the array {name!r} is left aside: it does not hold one class for each row"]


def factor_arrays(arrays: Mapping[str, Array], key: str, rows: int) -> tuple[dict[str, Array], list[str]]:
    """The columns of the array `factors` [N, F] or [N], named by the array `factor_names` [F], and what was left aside.

    It is taken where it holds numbers or words for each row.
    """
    values = arrays.get(FACTORS)
    if values is None or key == FACTORS:
        return {}, []
    if values.ndim not in (1, TABLE) or values.shape[0] != rows or values.dtype.kind not in "biufU":
        return {}, [f"the array {FACTORS!r} is left aside: it does not hold numbers or words for each row"]
    columns = one_by_one("factor", values.reshape(rows, -1))
    names = arrays.get(FACTOR_NAMES)
    if names is not None and names.shape == (len(columns),) and len(set(names.tolist())) == len(columns):
        columns = dict(zip(map(str, names.tolist()), columns.values(), strict=True))
    return columns, []


def one_by_one(name: str, values: Array) -> dict[str, Array]:
    """An array [N] by its name, or the columns of one [N, F] counted from 1."""
    if values.ndim != TABLE:
        return {name: values}
    return {f"{name}{number}": column for number, column in enumerate(values.T, 1)}


def _numbers(source: object, what: str) -> Array:
    if isinstance(source, Tensor):
        source = source.numpy() if source.dtype.is_floating_point is False else _float_array(source)
    values = np.asarray(source)
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind not in "iuf":
        raise DataError(f"{what} holds {values.dtype} values, not numbers; convert it to integers or floats")
    return values.astype(np.float64) if values.dtype == np.longdouble else values


def _float_array(tensor: Tensor) -> Array:
    return (tensor if tensor.element_size() > 2 else tensor.float()).numpy()


def _arrange(values: Array, what: str) -> tuple[Array, Layout]:
    shape = " x ".join(map(str, values.shape)) or "a single number"
    if values.ndim > 0 and values.size == 0:
        raise DataError(f"{what} is empty (its shape is {shape}); there is nothing to train on")
    if values.ndim == TABLE:
        return values, "table"
    if values.ndim == GREY:
        return values[:, None], "image"
    if values.ndim == COLOUR and values.shape[1] in CHANNELS:
        return values, "image"
    if values.ndim == COLOUR and values.shape[-1] in CHANNELS:
        return np.ascontiguousarray(np.moveaxis(values, -1, 1)), "image"
    raise DataError(
        f"{what} has the shape {shape}; give a table (N, D), or images (N, H, W), (N, H, W, C) or (N, C, H, W) "
        "with C = 1 or 3"
    )


def _damaged(path: Path, error: Exception) -> DataError:
    if "pickle" in str(error).lower() or "object" in str(error).lower():
        return DataError(
            f"'{path}' holds Python objects or is no NumPy file, and objects are never loaded; "
            "save plain numeric arrays with numpy.save or numpy.savez"
        )
    return DataError(f"'{path}' cannot be read as a NumPy file; it is damaged or cut short, make it anew")
