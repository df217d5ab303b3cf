"""The rows a fitted model is put to use on: a split of its own data, or other data of the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nelbo.data import Batches, Data, DataSpec, Kind, columns_in, has_named_columns, load, names_in
from nelbo.data.arrays import column_names
from nelbo.data.infer import refuse_others
from nelbo.errors import ConfigError, DataError, unknown
from nelbo.train.job import Job

__all__ = ["SPLITS", "batches_of", "check_alike", "other_data", "rows_of"]

SPLITS = ("train", "validation", "test", "all")
BATCH = 500


def rows_of(job: Job, split: str) -> Tensor:
    """Row numbers of `train`, `validation`, `test` or `all` rows of the data a job was trained on.

    Raises
    ------
    ConfigError
        If there is no such split, or it has no rows.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    rows: Tensor = torch.arange(len(job.data)) if split == "all" else getattr(job.split, split)
    if len(rows) == 0:
        raise ConfigError(f"the run holds out no {split} rows; choose another --split")
    return rows


def batches_of(job: Job, data: Data | None = None, rows: Tensor | None = None, *, batch_size: int = BATCH) -> Batches:
    """Rows of the job's own or of other data in their order, transformed and scaled as in training."""
    data = job.data if data is None else data
    rows = torch.arange(len(data)) if rows is None else rows
    cpu = torch.device("cpu")
    return Batches(data, rows, job.spec, job.transform, batch_size=batch_size, seed=0, device=cpu, shuffle=False)


def other_data(job: Job, source: str, label: str | None = None) -> Data:
    """Other data for a fitted model, read as its training data were.

    Columns of a table are found by their names, whatever their order; those the model was not trained on are left
    aside. The label column of the training data is read where the other data have it.

    Raises
    ------
    DataError
        If the data cannot be read, lack a column, or are of another shape or kind than the model was trained on.
    """
    settings, named = job.settings, names_in(source)

    def present(name: str | None) -> str | None:
        return name if name is not None and name in (named or ()) else None

    label, group = label or present(settings.label), present(settings.group)
    columns, drop = columns_in(source), settings.drop
    is_table = columns is not None
    if columns is not None:
        drop = _left_aside(source, columns, _names(job.data.spec), {label, group})
    elif has_named_columns(settings.source):
        drop = ()  # those were columns of the file trained on; arrays have no names
    data = _of_kind(job, source, label, drop, group)
    data = _in_order(data, _names(job.data.spec)) if is_table else data
    check_alike(job, data)
    if not drop or not is_table:
        return data
    reason = f"columns left aside: {', '.join(drop)}"
    return replace(data, spec=data.spec.model_copy(update={"reasons": (*data.spec.reasons, reason)}))


def check_alike(job: Job, data: Data) -> None:
    """Refuse data that are of another shape or kind than those the job was trained on.

    Raises
    ------
    DataError
        The message says in what they differ.
    """
    ours, theirs = job.data.spec, data.spec
    if ours.event_shape != theirs.event_shape:
        raise DataError(
            f"{theirs.name!r} has {_size(theirs)}, but the run was trained on {_size(ours)}; give data of that shape"
        )
    if ours.kind is not theirs.kind:
        raise DataError(
            f"{theirs.name!r} holds {theirs.kind.value} data, but the run was trained on {ours.kind.value} data; "
            f"give {ours.kind.value} data, or train a run on these"
        )
    if ours.levels is not None and theirs.levels is not None and theirs.levels > ours.levels:
        raise DataError(
            f"{theirs.name!r} holds values up to {theirs.levels - 1}, but the run was trained on the levels "
            f"0..{ours.levels - 1}; rescale them, or train a run on these"
        )
    if job.spec.kind is Kind.MIXED:
        refuse_others(theirs.name, ours.columns or (), theirs.columns or ())


def _of_kind(job: Job, source: str, label: str | None, drop: Sequence[str], group: str | None) -> Data:
    """The data read as of the kind trained on: a few rows may look like another (all counts below 32, say)."""
    kind = job.data.spec.kind.value
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


def _left_aside(
    source: str, theirs: tuple[str, ...], ours: tuple[str, ...], special: set[str | None]
) -> tuple[str, ...]:
    """The columns the model was not trained on."""
    missing = [name for name in ours if name not in theirs]
    if not missing:
        return tuple(name for name in theirs if name not in ours and name not in special)
    if theirs == column_names(len(theirs)) and len(ours) == len(theirs):
        return ()  # no header: the columns are taken to be those of the training data, in their order
    raise DataError(
        f"'{source}' lacks the column{'s' if len(missing) > 1 else ''} {', '.join(map(repr, missing))} that the run "
        f"was trained on; give a table with all of: {', '.join(ours)}"
    )


def _in_order(data: Data, names: tuple[str, ...]) -> Data:
    """The columns in the order of the training data."""
    found = _names(data.spec)
    if found == names or set(found) != set(names) or data.spec.columns is None:
        return data
    places = [found.index(name) for name in names]
    spec = data.spec.model_copy(update={"columns": tuple(data.spec.columns[place] for place in places)})
    return replace(data, x=data.x[:, places].contiguous(), spec=spec)


def _size(spec: DataSpec) -> str:
    size = " x ".join(map(str, spec.event_shape))
    return f"rows of {size} columns" if spec.layout == "table" else f"images of {size} (channels x height x width)"
