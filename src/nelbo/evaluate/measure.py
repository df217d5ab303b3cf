"""Measures: what can be found out about a fitted model besides its likelihood, each a part by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, final

import torch
from torch import Tensor

from nelbo.core import Model
from nelbo.data import Batches, Data, evenly
from nelbo.data.sources import Source
from nelbo.errors import DataError
from nelbo.evaluate.likelihood import Progress
from nelbo.noise import apart
from nelbo.recipes import written_part
from nelbo.registry import build
from nelbo.runs.fitted import Fitted, TrainingRows
from nelbo.train.job import Job, threads

__all__ = ["Cell", "Chart", "Finding", "Measure", "Subject", "evenly", "measure", "measure_split"]

BATCH = 500
T = TypeVar("T")
Cell = str | float | int | None


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """A fitted model, and the rows that it is measured on."""

    fitted: Fitted  # on the CPU
    data: Data
    rows: Tensor  # [N]  row numbers in `data`
    split: str  # what these rows are
    trained_on: TrainingRows | None = None
    seed: int = 0
    progress: Progress | None = None  # told of rows that are done

    @property
    def model(self) -> Model:
        return self.fitted.model

    @property
    def training(self) -> TrainingRows:
        """The rows that the model was trained on.

        Raises
        ------
        DataError
            If they are not at hand.
        """
        if self.trained_on is None:
            raise DataError(
                "this measure compares with the rows that the model was trained on, and they are not at hand; measure "
                "a split of the run, where its data are"
            )
        return self.trained_on

    @property
    def is_held_out(self) -> bool:
        """Whether no row measured is one that the model was trained on."""
        train = self.trained_on
        return train is None or self.data is not train.data or not bool(torch.isin(self.rows, train.rows).any())

    def batches(self, most: int | None = None, batch_size: int = BATCH) -> Batches:
        """The rows, or at most so many of them, evenly spaced."""
        rows = self.rows if most is None else evenly(self.rows, most)
        return self.fitted.batches(self.data, rows, batch_size=batch_size)

    def train_batches(self, rows: Tensor, batch_size: int = BATCH) -> Batches:
        """Some of the rows that the model was trained on."""
        return self.fitted.batches(self.training.data, rows, batch_size=batch_size)

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
    fitted: Fitted,
    names: Iterable[str],
    data: Data | Source,
    rows: Tensor | None = None,
    *,
    split: str | None = None,
    training: TrainingRows | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Finding]:
    """Measure a fitted model on rows that are like those it was trained on.

    Parameters
    ----------
    names
        Part strings: `probes`, `probes:neighbours=5`; `nelbo parts measure` lists them.
    data, rows
        Anything that `nelbo.load_data` reads, and row numbers in it (all by default).
    split
        What these rows are called; by default the name of the data.
    training
        The rows that the model was trained on, which some measures compare with.

    Raises
    ------
    ConfigError
        If there is no such measure or option.
    DataError
        If the data are of another shape or kind than the model was trained on, or training rows are missing.
    """
    measures: dict[str, Measure] = {text: build(written_part("measure", text)) for text in names}
    data = fitted.read(data)
    if training is not None:
        data = _labelled_like(training.data, data)
    rows = torch.arange(len(data)) if rows is None else rows
    subject = Subject(fitted, data, rows, split or data.spec.name, training, seed, progress)
    with threads(fitted.about.threads), apart():
        found = {}
        for text, each in measures.items():
            torch.manual_seed(seed)  # what one measure draws does not depend on which others were asked for
            found[text] = each(subject)
    return found


def _labelled_like(known: Data, data: Data) -> Data:
    """Other data with their classes in the order of the training data; one that these do not have counts as missing."""
    ours, theirs = known.spec.label_names, data.spec.label_names
    if data is known or data.label is None or ours is None or theirs is None or ours == theirs:
        return data
    places = torch.tensor([*(ours.index(name) if name in ours else -1 for name in theirs), -1])
    spec = data.spec.model_copy(update={"label_names": ours})
    return replace(data, label=places[data.label], spec=spec)


def measure_split(
    job: Job,
    fitted: Fitted | Model,
    names: Iterable[str],
    split: str = "test",
    *,
    data: Data | None = None,
    **options: Any,
) -> dict[str, Finding]:
    """Measure the model of a job on a split of the job's own data, or on other data; options as `measure`."""
    fitted = Fitted.of(job, fitted, with_baselines=False) if isinstance(fitted, Model) else fitted
    training = TrainingRows(job.data, job.split.train)
    if data is not None:
        return measure(fitted, names, data, training=training, **options)
    return measure(fitted, names, job.data, job.rows(split), split=split, training=training, **options)
