"""Measures: what can be found out about a fitted model besides its likelihood, each a part by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, final

import torch
from torch import Tensor

from nelbo.core import Model
from nelbo.data import Batches, Data, evenly
from nelbo.evaluate.likelihood import Progress
from nelbo.inputs import batches_of, check_alike, rows_of
from nelbo.noise import apart
from nelbo.recipes import written_part
from nelbo.registry import build
from nelbo.train.job import Job, threads

__all__ = ["Cell", "Chart", "Finding", "Measure", "Subject", "evenly", "measure"]

BATCH = 500
T = TypeVar("T")
Cell = str | float | int | None


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted model, and the rows that it is measured on."""

    job: Job
    model: Model  # in evaluation mode, on the CPU
    data: Data
    rows: Tensor  # [N]  row numbers in `data`
    split: str  # what these rows are
    seed: int = 0
    progress: Progress | None = None  # told of rows that are done

    def batches(self, most: int | None = None, batch_size: int = BATCH) -> Batches:
        """The rows, or at most so many of them, evenly spaced."""
        rows = self.rows if most is None else evenly(self.rows, most)
        return batches_of(self.job, self.data, rows, batch_size=batch_size)

    def train_batches(self, most: int | None = None, batch_size: int = BATCH) -> Batches:
        """The rows that the model was trained on, or at most so many of them, evenly spaced."""
        train = self.job.split.train
        return batches_of(self.job, rows=train if most is None else evenly(train, most), batch_size=batch_size)

    def advance(self, rows: int) -> None:
        """Tell whoever waits that so many rows are done."""
        if self.progress is not None:
            self.progress(rows)

    def paced(self, pieces: Iterable[T], number: int) -> Iterator[T]:
        """The pieces of some work, one after the other; after each, its share of the rows counts as done."""
        for done, piece in enumerate(pieces):
            yield piece
            self.advance(len(self.rows) * (done + 1) // number - len(self.rows) * done // number)


@final
@dataclass(frozen=True)
class Chart:
    """A picture of a finding, as numbers: the report draws it."""

    kind: Literal["lines", "bars", "points"]
    x: str  # what the axes are
    y: str
    series: Mapping[str, Sequence[tuple[float, float]]]  # name -> points; the names of bars stand in `ticks`
    ticks: Sequence[str] = ()
    words: str = ""  # what it shows, for who cannot see it
    band: tuple[float, float] | None = None  # of y, where chance alone would leave it


@final
@dataclass(frozen=True)
class Finding:
    """What a measure found: for programs (`figures`), for readers (a table and notes), for eyes (a chart)."""

    title: str
    figures: Mapping[str, Any]  # plain JSON
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    charts: Sequence[Chart] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        return {**vars(self), "charts": [vars(chart) for chart in self.charts]}


class Measure(ABC):
    """Something to find out about a fitted model; its options are its constructor's arguments."""

    @abstractmethod
    def __call__(self, subject: Subject) -> Finding: ...


def measure(
    job: Job,
    model: Model,
    names: Iterable[str],
    split: str = "test",
    *,
    data: Data | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Finding]:
    """Measure a fitted model on a split of its own data, or on other data of the same shape.

    Parameters
    ----------
    names
        Part strings: `probes`, `probes:neighbours=5`; `nelbo parts measure` lists them.

    Raises
    ------
    ConfigError
        If there is no such measure, option or split.
    DataError
        If other data are of another shape or kind than the model was trained on.
    """
    measures: dict[str, Measure] = {text: build(written_part("measure", text)) for text in names}
    if data is not None:
        check_alike(job, data)
    rows = rows_of(job, split) if data is None else torch.arange(len(data))
    source = job.data if data is None else data
    what = split if data is None else data.spec.name
    subject = Subject(job, model.eval(), source, rows, what, seed, progress)
    with threads(job.settings.threads), apart():
        found = {}
        for text, each in measures.items():
            torch.manual_seed(seed)  # what one measure draws does not depend on which others were asked for
            found[text] = each(subject)
    return found
