"""Training, validation and test rows, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nelbo.data.datasets import is_sequence
from nelbo.data.duplicates import copies, row_codes
from nelbo.data.sources import Data
from nelbo.errors import ConfigError, DataError, unknown

__all__ = ["METHODS", "Split", "evenly", "split"]

METHODS = ("auto", "random", "stratified", "sequential", "group", "copies", "official", "all")
SHARE = 0.1
ENOUGH = 10  # rows in every class for a stratified split
OFFICIAL_VALIDATION = 10_000  # rows taken from an official training part, at most, and at most a sixth
SIXTH = 6

Parts = tuple[Tensor, Tensor, Tensor]


@final
@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the three parts, how they were made, and what to know about them."""

    train: Tensor
    validation: Tensor
    test: Tensor
    how: str
    notes: tuple[str, ...] = ()


def split(
    data: Data,
    how: str = "auto",
    *,
    seed: int = 0,
    validation: float | None = None,
    test: float | None = None,
) -> Split:
    """Split the rows in three.

    Parameters
    ----------
    how
        ``auto``: official where there is one, else stratified where every class has 10 rows, else random.
        ``random``; ``stratified`` by label; ``sequential``: first rows train, then validation, then test, for films
        and series; ``group``: whole groups on one side; ``copies``: rows that are exact copies of each other on one
        side, else random; ``official``; ``all``: every row in every part.
    validation, test
        Shares of the rows, 0.1 by default; a validation share of 0 holds none
        out. An official split without validation rows gives a random sixth of
        its training rows, at most 10,000, unless a share is given.

    Raises
    ------
    ConfigError
        If `how` is unknown or a share is not between 0 and 1.
    DataError
        If the data lack what the split needs, or a part would be empty.
    """
    if how not in METHODS:
        raise unknown("split", how, METHODS)
    _check_shares(SHARE if validation is None else validation, SHARE if test is None else test)
    if how == "all":
        rows = torch.arange(len(data))
        return Split(rows, rows, rows, "all", ("every row is in every part: all figures are in-sample",))
    if how == "auto":
        how = _best(data)
    generator = torch.Generator().manual_seed(seed)
    if how == "official":
        parts, how = _official(data, validation, generator)
    else:
        held = (_share(len(data), validation), _share(len(data), test))
        parts = _by_method(data, how, held, generator)
    _refuse_empty(parts, len(data), how, wanted=(True, validation != 0, True))
    train, held_out, tested = parts
    return Split(train, held_out, tested, how, _notes(data, parts, how))


def evenly(rows: Tensor, most: int) -> Tensor:
    """At most `most` rows of a tensor, evenly spaced from the first to the last: files are often sorted by class."""
    places = torch.linspace(0, len(rows) - 1, min(most, len(rows)), dtype=torch.float64)
    return rows[places.round().long()]


def _check_shares(validation: float, test: float) -> None:
    if not 0 <= validation < 1:
        raise ConfigError(f"the validation share is {validation}; give one between 0 and 1, as 0.1 (0 holds none out)")
    if not 0 < test < 1:
        raise ConfigError(f"the test share is {test}; give one between 0 and 1, as 0.1")
    if validation + test >= 1:
        raise ConfigError(
            f"the validation share {validation} and the test share {test} leave no training rows; lower them"
        )


def _share(rows: int, share: float | None) -> int:
    return round(rows * (SHARE if share is None else share))


def _best(data: Data) -> str:
    if data.official:
        return "official"
    if data.label is None:
        return "random"
    sizes = torch.bincount(data.label + 1)
    return "stratified" if int(sizes[sizes > 0].min()) >= ENOUGH else "random"


def _by_method(data: Data, how: str, held: tuple[int, int], generator: torch.Generator) -> Parts:
    if how == "sequential":
        return _cut(torch.arange(len(data)).flip(0), *held)
    order = torch.randperm(len(data), generator=generator)
    if how == "random":
        return _cut(order, *held)
    if how == "stratified":
        return _cut(_spread(order, data), *held)
    if how == "copies":
        return _by_group(row_codes(data.x), held, generator)
    if data.group is None:
        raise DataError(
            f"a split by group needs groups, but {data.spec.name!r} has none; name a column or array with --group"
        )
    return _by_group(data.group, held, generator)


def _cut(order: Tensor, validation: int, test: int) -> Parts:
    """Test rows first in the order, then validation, the rest trains; each part in the order of the data."""
    parts = order[test + validation :], order[test : test + validation], order[:test]
    train, held_out, tested = (part.sort().values for part in parts)
    return train, held_out, tested


def _spread(order: Tensor, data: Data) -> Tensor:
    """An order in which each class is spread evenly: every leading part has it in proportion, within a row."""
    if data.label is None:
        raise DataError(f"a stratified split needs labels, but {data.spec.name!r} has none; use --split random")
    label = data.label[order]
    by_class = torch.argsort(label, stable=True)
    sizes = torch.bincount(label + 1)
    firsts = sizes.cumsum(0) - sizes
    sorted_label = label[by_class] + 1
    rank = torch.arange(len(label)) - firsts[sorted_label]
    place = (rank + 0.5) / sizes[sorted_label]
    return order[by_class[torch.argsort(place, stable=True)]]


def _by_group(group: Tensor, held: tuple[int, int], generator: torch.Generator) -> Parts:
    """Groups in a random order: test until it is full, then validation, then training."""
    sizes = torch.bincount(group)
    if len(sizes) < 3:
        raise DataError(f"{len(sizes)} groups cannot be split in three parts; use --split random or another --group")
    order = torch.randperm(len(sizes), generator=generator)
    before = sizes[order].cumsum(0) - sizes[order]
    validation, test = held
    place = torch.arange(len(sizes))
    last_test = min(max(1, int((before < test).sum())), len(sizes) - 2)
    filled = int(before[last_test])
    last_held = min(max(last_test + 1, int((before < filled + validation).sum())), len(sizes) - 1)
    side = torch.empty(len(sizes), dtype=torch.int64)
    side[order] = (place >= last_test).long() + (place >= last_held).long()
    rows = side[group]
    return (rows == 2).nonzero()[:, 0], (rows == 1).nonzero()[:, 0], (rows == 0).nonzero()[:, 0]


def _official(data: Data, validation: float | None, generator: torch.Generator) -> tuple[Parts, str]:
    parts = data.official
    if "train" not in parts or "test" not in parts:
        raise DataError(f"{data.spec.name!r} has no official split; use --split random")
    train, test = parts["train"], parts["test"]
    if "validation" in parts:
        return (train, parts["validation"], test), "official"
    rows = len(train)
    held = min(rows // SIXTH, OFFICIAL_VALIDATION) if validation is None else round(rows * validation)
    order = torch.randperm(rows, generator=generator)
    chosen, rest = order[:held].sort().values, order[held:].sort().values
    how = f"official test, {held} of {rows} training rows at random for validation"
    return (train[rest], train[chosen], test), how


def _refuse_empty(parts: Parts, rows: int, how: str, wanted: tuple[bool, bool, bool]) -> None:
    names = ("training", "validation", "test")
    empty = [name for name, part, want in zip(names, parts, wanted, strict=True) if want and len(part) == 0]
    if empty:
        raise DataError(
            f"{rows} rows are too few: the {how} split leaves no {' and no '.join(empty)} rows; "
            "give more rows or larger shares, or use --split all"
        )


def _notes(data: Data, parts: Parts, how: str) -> tuple[str, ...]:
    train, validation, test = parts
    codes = row_codes(data.x)
    found = (
        ("test", "training", test, train),
        ("validation", "training", validation, train),
        ("test", "validation", test, validation),
    )
    notes = [_copied(name, other, copies(codes, part, of), len(part)) for name, other, part, of in found]
    if is_sequence(data.spec.name) and how != "sequential":
        notes.append(
            "the rows are frames of a film, so test rows have neighbours among the training rows and figures "
            "flatter; --split sequential is the honest one"
        )
    return tuple(note for note in notes if note)


def _copied(name: str, other: str, count: int, rows: int) -> str:
    if count == 0:
        return ""
    verb = "is an exact copy" if count == 1 else "are exact copies"
    return f"{count} of {rows} {name} rows ({100 * count / rows:.1f} %) {verb} of {other} rows"
