"""Comma-, semicolon- or tab-separated tables of numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from nelbo.data.arrays import column_names
from nelbo.data.infer import some_names
from nelbo.data.labels import MISSING
from nelbo.data.raw import Array, Raw
from nelbo.errors import DataError, HolesError, unknown

__all__ = ["read_columns", "read_names", "read_table"]

DELIMITERS = {"\t": "tabs", ";": "semicolons", ",": "commas"}
SNIFFED = 50  # rows looked at to find the delimiter and the header

Text = npt.NDArray[np.str_]


@final
@dataclass(frozen=True)
class _Cells:
    """The text of a file, cut into cells, all rows alike in length."""

    names: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]  # line in the file of each row
    reasons: tuple[str, ...]

    def column(self, name: str) -> Text:
        place = self.names.index(name)
        return np.char.strip(np.array([row[place] for row in self.rows], dtype=np.str_))


def read_table(path: Path, label: str | None, group: str | None, drop: Sequence[str] = ()) -> Raw:
    """Rows from a .csv or .tsv file; the delimiter and a header are found by looking.

    Raises
    ------
    DataError
        If rows differ in length (with the line), a column is not numeric (with its first bad value and
        line), a cell is missing, or `label`, `group` or `drop` name no column.
    """
    cells = _cut(path, _text(path))
    for asked in (label, group, *drop):
        if asked is not None and asked not in cells.names:
            raise unknown(f"column in '{path}'", asked, cells.names, DataError)
    aside = {label, group, *drop}
    kept = tuple(name for name in cells.names if name not in aside)
    if not kept:
        raise DataError(f"no column of '{path}' is left after --label, --group and --drop; keep at least one")
    reasons = [*cells.reasons]
    if label is not None:
        reasons.append(f"labels are the column {label!r}")
    return Raw(
        _numeric(path, cells, kept),
        "table",
        path.stem,
        kept,
        label=None if label is None else _labels(cells.column(label)),
        group=None if group is None else cells.column(group),
        reasons=tuple(reasons),
    )


def read_columns(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Columns of a .csv or .tsv file by their names, numbers as numbers and all else as text."""
    cells = _cut(path, _text(path))
    for name in names:
        if name not in cells.names:
            raise unknown(f"column in '{path}'", name, cells.names, DataError)
    return {name: _labels(cells.column(name)) for name in names}


def read_names(path: Path) -> tuple[str, ...]:
    """The names of the columns of a .csv or .tsv file."""
    return _cut(path, _text(path)).names


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"'{path}' is not UTF-8 text; save it as a UTF-8 .csv file") from None


def _cut(path: Path, text: str) -> _Cells:
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True)
    try:
        numbered = [(reader.line_num, row) for row in reader if len(row) > 1 or any(map(str.strip, row))]
    except csv.Error as error:
        raise DataError(f"'{path}' breaks off in line {reader.line_num} ({error}); mend that line") from None
    if not numbered:
        raise DataError(f"'{path}' is empty; there is nothing to train on")
    lines, rows = [line for line, _ in numbered], [row for _, row in numbered]
    width = len(rows[0])
    ragged = next((number for number, row in enumerate(rows) if len(row) != width), None)
    if ragged is not None:
        raise DataError(
            f"line {lines[ragged]} of '{path}' has {len(rows[ragged])} cells, but line {lines[0]} has {width}; "
            f"give every line the same number of cells, separated by {DELIMITERS[delimiter]}"
        )
    found = (f"cells are separated by {DELIMITERS[delimiter]}",) if width > 1 else ()
    if not _has_header(rows):
        named = f"the file has no header: columns are named column1 to column{width}"
        return _Cells(column_names(width), rows, lines, (*found, named))
    names = tuple(cell.strip() or f"column{number}" for number, cell in enumerate(rows[0], 1))
    twice = next((name for number, name in enumerate(names) if name in names[:number]), None)
    if twice is not None:
        raise DataError(f"the header of '{path}' names two columns {twice!r}; give each its own name")
    if len(rows) == 1:
        raise DataError(f"'{path}' has a header but no rows; there is nothing to train on")
    return _Cells(names, rows[1:], lines[1:], (*found, "the first line is a header"))


def _delimiter(text: str) -> str:
    """The delimiter that cuts the first lines into equally many cells; failing that, the commonest."""
    head = [line for line in text[: 1 << 16].splitlines()[:SNIFFED] if line.strip()]
    counts = {mark: [len(row) - 1 for row in csv.reader(head, delimiter=mark)] for mark in DELIMITERS}
    for mark, found in counts.items():
        if found and min(found) == max(found) > 0:
            return mark
    return max(counts, key=lambda mark: (sum(counts[mark]), mark == ","))


def _has_header(rows: list[list[str]]) -> bool:
    """A header is a first row of text, or one with text above a column of numbers, or the numbers 0, 1, ..."""
    first, body = [cell.strip() for cell in rows[0]], rows[1 : SNIFFED + 1]
    if len(first) > 1 and first == [str(number) for number in range(len(first))]:
        return True
    text = [not _is_number(cell) and cell not in MISSING for cell in first]
    if not any(text):
        return False
    if all(is_text or cell == "" for is_text, cell in zip(text, first, strict=True)) and len(set(first)) == len(first):
        return True
    below = zip(*body, strict=True) if body else iter([()] * len(first))
    return any(
        is_text and bool(column) and all(_is_number(cell) or cell.strip() in MISSING for cell in column)
        for is_text, column in zip(text, below, strict=True)
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numeric(path: Path, cells: _Cells, names: Sequence[str]) -> Array:
    columns = {name: cells.column(name) for name in names}
    parsed = {name: _floats(column) for name, column in columns.items()}
    wordy = [name for name, values in parsed.items() if values is None]
    if wordy:
        name = wordy[0]
        place = next(
            number for number, cell in enumerate(columns[name]) if not _is_number(cell) and cell not in MISSING
        )
        drop = " ".join(f"--drop {each}" for each in wordy)
        others = f" (nor are: {some_names(wordy[1:])})" if len(wordy) > 1 else ""
        raise DataError(
            f"column {name!r} of '{path}' is not numeric: {str(columns[name][place])!r} in line "
            f"{cells.lines[place]}{others}; use {drop}, or --label {name} if it is the label"
        )
    missing = {name: np.flatnonzero(np.isin(column, MISSING)) for name, column in columns.items()}
    holed = [name for name, holes in missing.items() if holes.size]
    if holed:
        name = holed[0]
        raise HolesError(
            f"column {name!r} of '{path}' has missing cells, {missing[name].size} in all, the first in line "
            f"{cells.lines[missing[name][0]]}; fill them, remove those rows, or use --drop {name}",
            holed,
        )
    return np.stack([values for values in parsed.values() if values is not None], axis=1)


def _floats(column: Text) -> npt.NDArray[np.float64] | None:
    """The column as numbers, NaN where missing; None where it holds text."""
    try:
        return np.where(np.isin(column, MISSING), "nan", column).astype(np.float64)
    except ValueError:
        return None


def _labels(column: Text) -> Array:
    """Whole numbers as numbers, so that they sort as such; all else as text."""
    numbers = _floats(column)
    if numbers is None:
        return column
    known = numbers[~np.isnan(numbers)]
    return numbers if np.isfinite(known).all() else column
