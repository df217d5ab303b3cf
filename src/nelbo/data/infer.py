"""What kind the values are, inferred from the values, with a sentence for each decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import numpy.typing as npt

from nelbo.data.raw import Array
from nelbo.data.spec import CONTINUOUS, DISCRETE, ON_DISCRETE, Column, Kind, Layout
from nelbo.errors import DataError, unknown

__all__ = ["Inference", "infer", "on_discrete", "parse_kind", "refuse_others", "some_names"]

SMALL = 32  # integers below this in a table are levels, those that go beyond are counts
FEW_LEVELS = 64  # integer images below this are levels, those that go beyond are bytes
BYTES = 256
GRID_TOLERANCE = 1e-5  # of a step, for k / 255 in single precision
CHUNK = 1 << 22  # values looked at together
INTEGERS = frozenset({Kind.BINARY, Kind.BYTE, Kind.LEVELS, Kind.COUNT, Kind.CATEGORICAL, Kind.ORDINAL})
WITH_LEVELS = frozenset({Kind.BYTE, Kind.LEVELS, Kind.CATEGORICAL, Kind.ORDINAL})
BY_COLUMN = "--likelihood mixed gives each column one of its own kind"


@final
@dataclass(frozen=True)
class Inference:
    """The joint kind of all cells and how it was found."""

    kind: Kind
    levels: int | None
    columns: tuple[Column, ...] | None
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


@final
@dataclass(frozen=True, eq=False)
class _Facts:
    """What is true of each column [D]."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    distinct: npt.NDArray[np.int64]
    whole: npt.NDArray[np.bool_]


def parse_kind(text: str) -> Kind:
    """The kind of that name; a misspelt one is an error with the nearest."""
    names = [kind.value for kind in Kind if kind is not Kind.MIXED]  # that is found column by column
    if text not in names:
        raise unknown("kind", text, names, DataError)
    return Kind(text)


def infer(
    values: Array, layout: Layout, names: Sequence[str] | None, given: Kind | None, by: str = "asked for"
) -> Inference:
    """The kind of `values` [N, *event], all finite.

    Parameters
    ----------
    given
        A kind that is known; then the values are only checked against it.
    by
        How it is known, for the explanation.

    Raises
    ------
    DataError
        If the values cannot be of the kind given; the first offending column is named.
    """
    if layout == "image":
        return _infer_image(values, given, by)
    if names is None:
        raise ValueError("a table needs column names")
    return _infer_table(values, names, given, by)


def some_names(names: Sequence[str], most: int = 5) -> str:
    """At most five names, then how many more there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def on_discrete(columns: Sequence[Column]) -> str:
    """The warning that every figure carries where a density scores discrete columns."""
    return f"{ON_DISCRETE}: {some_names([column.name for column in columns])}"


def refuse_others(name: str, trained_on: Sequence[Column], found: Sequence[Column]) -> None:
    """Refuse columns with values that those trained on, of the same kinds, cannot take.

    Raises
    ------
    DataError
        With the first such column.
    """
    for ours, theirs in zip(trained_on, found, strict=True):
        what = f"column {theirs.name!r} of {name!r} holds"
        _check(what, theirs.low, theirs.high, theirs.whole, ours.kind, "; mend it, or train a run on these data")
        if ours.kind in WITH_LEVELS - {Kind.BYTE} and theirs.high > ours.high:
            raise DataError(
                f"{what} values up to {theirs.high:.0f}, but the run was trained on its levels 0..{ours.high:.0f}; "
                "leave those rows out, or train a run on these data"
            )


def _infer_image(values: Array, given: Kind | None, by: str) -> Inference:
    low, high = float(values.min()), float(values.max())
    whole = _is_whole(values)
    if given is not None:
        _check("the images hold", low, high, whole, given)
        kind, reason = given, f"kind {given.value} is {by}"
    else:
        kind, reason = _image_kind(values, low, high, whole)
    reasons, warnings = [reason], []
    if kind is Kind.UNIT and not whole and _is_byte_grid(values):
        reasons.append(
            "all values are multiples of 1/255, so these are bytes that were divided by 255; "
            "the undivided bytes would give a probability mass"
        )
    if kind is Kind.BYTE and bool(((values == low) | (values == high)).all()):
        reasons.append(f"only the levels {low:.0f} and {high:.0f} occur: binarised by threshold they would be binary")
    if kind in CONTINUOUS and whole:
        warnings.append("density on the raw grid")
    return Inference(kind, _levels(kind, high), None, tuple(reasons), tuple(warnings))


def _image_kind(values: Array, low: float, high: float, whole: bool) -> tuple[Kind, str]:
    if whole and low >= 0 and high <= 1:
        return Kind.BINARY, "every pixel is 0 or 1: binary"
    if values.dtype == np.uint8:
        return Kind.BYTE, "pixels are unsigned 8-bit integers: bytes with 256 levels"
    if whole and low >= 0 and high < FEW_LEVELS:
        return Kind.LEVELS, f"pixels are the integers 0..{high:.0f}: {high + 1:.0f} levels"
    if whole and low >= 0 and high < BYTES:
        return Kind.BYTE, f"pixels are integers from {low:.0f} to {high:.0f}: bytes with 256 levels"
    if whole:
        return Kind.REAL, f"pixels are integers from {low:.0f} to {high:.0f}, beyond a byte: read as real"
    if low >= 0 and high <= 1:
        return Kind.UNIT, "pixels are fractions between 0 and 1: unit"
    return Kind.REAL, f"pixels are fractions from {low:.4g} to {high:.4g}: real"


def _infer_table(values: Array, names: Sequence[str], given: Kind | None, by: str) -> Inference:
    facts = _facts(values)
    if given is not None:
        for name, low, high, whole in zip(names, facts.low, facts.high, facts.whole, strict=True):
            _check(f"column {name!r} holds", float(low), float(high), bool(whole), given)
        joint, reason = given, f"kind {given.value} is {by}"
        kinds = [given] * len(names)
    elif values.dtype == np.uint8 and facts.high.max() > 1:
        joint, reason = Kind.BYTE, "columns are unsigned 8-bit integers: bytes with 256 levels"
        kinds = [joint] * len(names)
    else:
        kinds = [_column_kind(*each) for each in zip(facts.low, facts.high, facts.whole, strict=True)]
        joint, reason = _joint_kind(kinds)
    columns = tuple(
        Column(name=name, kind=kind, low=float(low), high=float(high), distinct=int(distinct), whole=bool(whole))
        for name, kind, low, high, distinct, whole in zip(
            names, kinds, facts.low, facts.high, facts.distinct, facts.whole, strict=True
        )
    )
    discrete = [column for column in columns if column.whole or column.distinct == 1]
    reasons, warnings = [reason], []
    if joint in CONTINUOUS and discrete:
        helps = any(column.kind not in CONTINUOUS for column in discrete)
        reasons.append(
            f"{DISCRETE}, {len(discrete)} of {len(names)}: {some_names([c.name for c in discrete])}; "
            f"drop them, or keep in mind that a density does not suit them{f' ({BY_COLUMN})' if helps else ''}"
        )
        warnings.append(on_discrete(discrete) + (f"; {BY_COLUMN}" if helps else ""))
    return Inference(joint, _levels(joint, float(facts.high.max())), columns, tuple(reasons), tuple(warnings))


def _column_kind(low: float, high: float, whole: bool) -> Kind:
    if whole and low >= 0:
        return Kind.BINARY if high <= 1 else Kind.LEVELS if high < SMALL else Kind.COUNT
    if whole:
        return Kind.REAL
    if low >= 0 and high <= 1:
        return Kind.UNIT
    return Kind.POSITIVE if low > 0 else Kind.REAL


def _joint_kind(kinds: Sequence[Kind]) -> tuple[Kind, str]:
    present = set(kinds)
    if present == {Kind.LEVELS, Kind.BINARY}:
        return Kind.LEVELS, f"every column holds integers from 0 to below {SMALL}: levels"
    if present == {Kind.LEVELS, Kind.COUNT}:
        return Kind.COUNT, "every column holds integers from 0 upwards, some of them large: counts"
    if len(present) == 1:
        kind = present.pop()
        return kind, f"every column is {kind.value}: {_MEANING[kind]}"
    tally = ", ".join(f"{sum(k is kind for k in kinds)} {kind.value}" for kind in Kind if kind in present)
    return Kind.REAL, f"columns are of several kinds ({tally}): together they are read as real"


_MEANING = {
    Kind.BINARY: "only 0 and 1",
    Kind.LEVELS: f"integers from 0 to below {SMALL}",
    Kind.COUNT: f"integers from 0 to {SMALL} and beyond",
    Kind.UNIT: "fractions between 0 and 1",
    Kind.POSITIVE: "fractions above 0",
    Kind.REAL: "any numbers",
}


_ANOTHER_KIND = "; choose another --kind or leave it out to have it inferred"


def _check(what: str, low: float, high: float, whole: bool, kind: Kind, remedy: str = _ANOTHER_KIND) -> None:
    bottom = 0.0 if kind is not Kind.REAL else -np.inf
    tops = {Kind.BINARY: 1.0, Kind.UNIT: 1.0, Kind.BYTE: 255.0}
    span = f"{what} values from {low:.6g} to {high:.6g}"
    if low < bottom or high > tops.get(kind, np.inf) or (kind is Kind.POSITIVE and low <= 0):
        raise DataError(f"{span}, which kind {kind.value!r} cannot take{remedy}")
    if kind in INTEGERS and not whole:
        raise DataError(f"{span} that are not integers, which kind {kind.value!r} cannot take{remedy}")


def _levels(kind: Kind, high: float) -> int | None:
    if kind is Kind.BYTE:
        return BYTES
    return max(2, int(high) + 1) if kind in WITH_LEVELS else None


def _facts(values: Array) -> _Facts:
    """Range, number of distinct values and wholeness of each column, some columns at a time."""
    step = max(1, CHUNK // max(1, values.shape[0]))
    low, high, distinct, whole = [], [], [], []
    for start in range(0, values.shape[1], step):
        block = np.sort(values[:, start : start + step], axis=0)
        low.append(block[0].astype(np.float64))
        high.append(block[-1].astype(np.float64))
        distinct.append(1 + (block[1:] != block[:-1]).sum(0, dtype=np.int64))
        whole.append(
            (block == np.floor(block)).all(0) if block.dtype.kind == "f" else np.ones(block.shape[1], np.bool_)
        )
    return _Facts(np.concatenate(low), np.concatenate(high), np.concatenate(distinct), np.concatenate(whole))


def _is_whole(values: Array) -> bool:
    if values.dtype.kind != "f":
        return True
    flat = values.reshape(-1)
    return all(
        bool((part == np.floor(part)).all())
        for part in (flat[start : start + CHUNK] for start in range(0, flat.size, CHUNK))
    )


def _is_byte_grid(values: Array) -> bool:
    flat = values.reshape(-1)
    steps = (flat[start : start + CHUNK] * 255.0 for start in range(0, flat.size, CHUNK))
    return all(bool((np.abs(step - np.round(step)) < GRID_TOLERANCE * 255).all()) for step in steps)
