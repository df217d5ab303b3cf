"""Rows for a model that is fitted already: read as those it was trained on, their columns found by name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nelbo.data import Data, DataSpec, Kind, columns_in, load, names_in
from nelbo.data.arrays import column_names
from nelbo.data.infer import refuse_others, some_names
from nelbo.data.sources import Source
from nelbo.errors import DataError

__all__ = ["check_alike", "matched", "read_rows"]


def read_rows(
    source: Source,
    raw: DataSpec,
    modelled: DataSpec,
    label: str | None,
    usual_label: str | None,
    usual_group: str | None,
) -> Data:
    """Other rows for a model that was trained on data of the spec `raw`.

    Parameters
    ----------
    modelled
        The same after the transform.
    label
        The column or array of labels; by default that of the training data, where the source has it.
    usual_label, usual_group
        Of the training data.

    Raises
    ------
    DataError
        As `Fitted.read`.
    """
    named, ours = names_in(source), _names(raw)

    def present(name: str | None) -> str | None:
        return name if name is not None and name in (named or ()) else None

    is_asked = label is not None
    label, group = label or present(usual_label), present(usual_group)
    theirs = columns_in(source)
    drop: tuple[str, ...] = ()
    if theirs is not None and ours:
        theirs = tuple(name for name in theirs if name not in {label, group})
        drop = _left_aside(source, theirs, ours)
    try:
        data = _of_kind(source, raw, label, drop, group)
    except DataError:
        # Rows that wait for a label may have an empty column for it: nobody asked for these labels.
        if is_asked or label is None or modelled.condition != "none":
            raise
        drop = (*drop, label) if theirs is not None else drop
        data = _of_kind(source, raw, None, drop, group)
    data = _chosen(data, ours)
    check_alike(raw, modelled, data)
    if not drop:
        return data
    reason = f"columns left aside: {some_names(drop)}"
    return replace(data, spec=data.spec.model_copy(update={"reasons": (*data.spec.reasons, reason)}))


def matched(data: Data, raw: DataSpec, modelled: DataSpec) -> Data:
    """Data that are read already, with the columns of the training data in their order.

    Raises
    ------
    DataError
        As `Fitted.read`.
    """
    theirs, ours = _names(data.spec), _names(raw)
    if theirs and ours and theirs != ours:
        _left_aside(data.spec.name, theirs, ours)  # raises where one is missing
        data = _chosen(data, ours)
    check_alike(raw, modelled, data)
    return data


def check_alike(raw: DataSpec, modelled: DataSpec, data: Data) -> None:
    """Refuse data that are of another shape or kind than those a model was trained on.

    Raises
    ------
    DataError
        The message says in what they differ.
    """
    theirs = data.spec
    if raw.event_shape != theirs.event_shape:
        raise DataError(
            f"{theirs.name!r} has {_size(theirs)}, but the run was trained on {_size(raw)}; give data of that shape"
        )
    if raw.kind is not theirs.kind:
        raise DataError(
            f"{theirs.name!r} holds {theirs.kind.value} data, but the run was trained on {raw.kind.value} data; "
            f"give {raw.kind.value} data, or train a run on these"
        )
    if raw.levels is not None and theirs.levels is not None and theirs.levels > raw.levels:
        raise DataError(
            f"{theirs.name!r} holds values up to {theirs.levels - 1}, but the run was trained on the levels "
            f"0..{raw.levels - 1}; rescale them, or train a run on these"
        )
    if modelled.kind is Kind.MIXED:
        refuse_others(theirs.name, raw.columns or (), theirs.columns or ())


def _of_kind(source: Source, raw: DataSpec, label: str | None, drop: Sequence[str], group: str | None) -> Data:
    """The data read as of the kind trained on: a few rows may look like another (all counts below 32, say)."""
    kind = raw.kind.value
    try:
        return load(source, label=label, drop=drop, group=group, kind=kind)
    except DataError as problem:
        found = load(source, label=label, drop=drop, group=group).spec  # raises again unless the kind was to blame
        raise DataError(
            f"{found.name!r} holds {found.kind.value} data, but the run was trained on {kind} data; "
            f"give {kind} data, or train a run on these"
        ) from problem


def _names(spec: DataSpec) -> tuple[str, ...]:
    return tuple(column.name for column in spec.columns or ())


def _left_aside(source: Source, theirs: tuple[str, ...], ours: tuple[str, ...]) -> tuple[str, ...]:
    """The columns the model was not trained on."""
    missing = [name for name in ours if name not in theirs]
    if not missing:
        return tuple(name for name in theirs if name not in ours)
    if len(ours) == len(theirs) and (_are_counted(ours) or theirs == column_names(len(theirs))):
        return ()  # one of the two has no header: the columns are taken to be the same, in their order
    what = f"'{source}'" if isinstance(source, str | Path) else "the table"
    raise DataError(
        f"{what} lacks the column{'s' if len(missing) > 1 else ''} {some_names([repr(name) for name in missing])} that "
        f"the run was trained on; give a table with all of: {some_names(ours)}"
    )


def _are_counted(names: Sequence[str]) -> bool:
    """Whether columns have numbers for names, having had none."""
    return all(re.fullmatch(r"column\d+", name) for name in names)


def _chosen(data: Data, names: tuple[str, ...]) -> Data:
    """The columns of the training data in their order; as they are, where they are other ones of the same number."""
    found = _names(data.spec)
    if not names or found == names or not set(names) <= set(found) or data.spec.columns is None:
        return data
    places = [found.index(name) for name in names]
    columns = tuple(data.spec.columns[place] for place in places)
    spec = data.spec.model_copy(update={"columns": columns, "event_shape": (len(places),)})
    return replace(data, x=data.x[:, places].contiguous(), spec=spec)


def _size(spec: DataSpec) -> str:
    size = " x ".join(map(str, spec.event_shape))
    return f"rows of {size} columns" if spec.layout == "table" else f"images of {size} (channels x height x width)"
