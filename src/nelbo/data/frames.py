"""Data frames in memory, of pandas, Polars, PyArrow and others that narwhals knows, as tables with named columns."""

from __future__ import annotations

import numbers
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, final

import numpy as np

from nelbo.data.infer import some_names
from nelbo.data.labels import MISSING
from nelbo.data.raw import Array, Raw
from nelbo.errors import DataError, unknown

if TYPE_CHECKING:
    from narwhals import Series

__all__ = ["Frame", "as_frame", "as_series", "frame_columns", "read_frame"]

SHOWN = 5  # columns listed in drop=[...]
SIMPLE = (str, numbers.Number, date, np.generic)  # what an object column may hold to be a label


@final
@dataclass(frozen=True, eq=False)
class Frame:
    """The columns of a data frame, each with its name as text; an index is not among them."""

    columns: Mapping[str, Series[Any]]  # D of length N, in their order
    shape: tuple[int, int]  # N, D

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the D columns in their order."""
        return tuple(self.columns)

    def column(self, name: str) -> Series[Any]:
        """The column of that name.

        Raises
        ------
        DataError
            If there is none; the message has the nearest name.
        """
        if name not in self.columns:
            raise unknown("column in the frame", name, self.columns, DataError)
        return self.columns[name]


def as_frame(source: object) -> Frame | None:
    """The columns of a data frame that is in memory; None if `source` is no data frame.

    Raises
    ------
    DataError
        If the frame is lazy or a single column, or two of its columns have the same name.
    """
    import narwhals.stable.v2 as nw
    from narwhals.exceptions import DuplicateError

    try:
        opened: object = nw.from_native(source, pass_through=True, allow_series=True)
        if isinstance(opened, nw.LazyFrame):
            raise DataError(
                "a lazy frame holds no rows yet; give the frame in memory that its .collect() or .compute() returns"
            )
        if isinstance(opened, nw.Series):
            raise DataError("a single column (a Series) is no table; give the frame that its .to_frame() returns")
        if not isinstance(opened, nw.DataFrame):
            return None
        names, columns = tuple(map(str, opened.columns)), tuple(opened.iter_columns())
    except DuplicateError:
        has_plain_names = hasattr(type(source), "column_names")  # PyArrow, whose `columns` are the values
        given: Any = source
        raise _named_twice(given.column_names if has_plain_names else given.columns) from None
    if len(set(names)) < len(names):
        raise _named_twice(names)
    return Frame(dict(zip(names, columns, strict=True)), opened.shape)


def as_series(source: object) -> Array | None:
    """The labels in a single column (a pandas or Polars Series), [N]; None if `source` is no such thing.

    Raises
    ------
    DataError
        If it holds neither text nor numbers nor categories.
    """
    import narwhals.stable.v2 as nw

    opened: object = nw.from_native(source, pass_through=True, series_only=True)
    return _labels(opened, "the column of labels") if isinstance(opened, nw.Series) else None


def read_frame(frame: Frame, label: str | None, group: str | None, drop: Sequence[str] = ()) -> Raw:
    """Rows of numbers [N, D] from a data frame, in its order; booleans become 0 and 1, missing cells NaN.

    The columns `label` and `group` are taken out of the rows, and so are those in `drop`.

    Raises
    ------
    DataError
        If the frame has no rows or columns, a column does not hold numbers, or `label`, `group` or `drop` name none.
    """
    if 0 in frame.shape:
        shape = " x ".join(map(str, frame.shape))
        raise DataError(f"the frame is empty (its shape is {shape}); there is nothing to train on")
    for asked in (label, group, *drop):
        if asked is not None:
            frame.column(asked)
    aside = {label, group, *drop}
    kept = tuple(name for name in frame.names if name not in aside)
    if not kept:
        raise DataError("no column of the frame is left after label=, group= and drop=; keep at least one")
    return Raw(
        _table(frame, kept),
        "table",
        "frame",
        kept,
        label=None if label is None else frame_columns(frame, [label])[label],
        group=None if group is None else frame_columns(frame, [group])[group],
        reasons=() if label is None else (f"labels are the column {label!r}",),
    )


def frame_columns(frame: Frame, names: Sequence[str]) -> dict[str, Array]:
    """Columns [N] of a data frame by their names, numbers as numbers and all else as text.

    Raises
    ------
    DataError
        If there is no column of that name, or it holds neither text nor numbers nor categories.
    """
    return {name: _labels(frame.column(name), f"column {name!r} of the frame") for name in names}


def _table(frame: Frame, names: Sequence[str]) -> Array:
    """The columns side by side in the narrowest type that holds them all."""
    found = {name: _numbers(frame.column(name)) for name in names}
    columns = {name: values for name, values in found.items() if values is not None}
    if len(columns) < len(found):
        raise _no_numbers(frame, [name for name, values in found.items() if values is None])
    table = np.empty((frame.shape[0], len(columns)), np.result_type(*columns.values()))
    for place, values in enumerate(columns.values()):
        table[:, place] = values
    return table


def _numbers(series: Series[Any]) -> Array | None:
    """The column as numbers [N], NaN where missing; None if it does not hold numbers."""
    import narwhals.stable.v2 as nw

    dtype = series.dtype
    if series.null_count() == len(series):
        return np.full(len(series), np.nan)
    if dtype == nw.Boolean and series.null_count() == 0:
        return np.asarray(series.to_numpy(), np.uint8)
    if dtype == nw.Boolean or dtype.is_decimal() or dtype in (nw.Int128, nw.UInt128):
        return np.asarray(series.cast(nw.Float64).to_numpy())
    if dtype.is_numeric():
        return np.asarray(series.to_numpy())
    if dtype == nw.Unknown and series.implementation.is_pandas_like():  # such as pandas.SparseDtype
        values = np.asarray(series.to_numpy())
        return values.astype(np.uint8) if values.dtype.kind == "b" else values if values.dtype.kind in "iuf" else None
    return None


def _labels(series: Series[Any], what: str) -> Array:
    """The column [N] as numbers, or else as text; NaN or empty text where missing."""
    import narwhals.stable.v2 as nw

    if series.dtype == nw.Boolean and series.null_count() == 0:
        return np.asarray(series.to_numpy(), np.bool_)
    values = None if series.dtype == nw.Boolean else _numbers(series)
    return _words(series, what) if values is None else values


def _words(series: Series[Any], what: str) -> Array:
    """The column as text, or as numbers if every word is one: like a .csv, so that 2 comes before 10."""
    import narwhals.stable.v2 as nw

    holes = series.is_null().to_list()
    cells = [None if hole else cell for cell, hole in zip(series.to_list(), holes, strict=True)]
    is_plain = series.dtype != nw.Object or all(cell is None or isinstance(cell, SIMPLE) for cell in cells)
    if series.dtype.is_nested() or series.dtype == nw.Binary or not is_plain:
        raise DataError(
            f"{what} holds values of type {_type_of(series)}, which name no class or group; "
            "use one that holds text, numbers or categories"
        )
    words = np.array(["" if cell is None else str(cell).strip() for cell in cells], dtype=np.str_)
    try:
        read = np.where(np.isin(words, MISSING), "nan", words).astype(np.float64)
    except ValueError:
        return words
    return words if np.isinf(read).any() else read


def _no_numbers(frame: Frame, names: Sequence[str]) -> DataError:
    found = some_names([f"{name!r} ({_type_of(frame.column(name))})" for name in names])
    drop = ", ".join([*map(repr, names[:SHOWN]), *(["..."] if len(names) > SHOWN else [])])
    return DataError(
        f"columns of the frame do not hold numbers: {found}; encode them as numbers, leave them out with "
        f"drop=[{drop}], or name the one with the labels by label= (columns of text in a .csv are refused likewise)"
    )


def _named_twice(names: Sequence[object]) -> DataError:
    name = Counter(map(str, names)).most_common(1)[0][0]
    return DataError(f"the frame names two columns {name!r}; give each its own name")


def _type_of(series: Series[Any]) -> str:
    return type(series.dtype).__name__
