"""What a report is about: a run, opened once, with what several sections look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from nelbo.data import DataSpec
from nelbo.doctor.history import History
from nelbo.doctor.wording import part_word
from nelbo.report.pictures import Display
from nelbo.report.views import Encoded, Views
from nelbo.runs import Run
from nelbo.train.job import Job

__all__ = ["Subject", "open_subject"]

MAP_ROWS = 3_000
BENDING = frozenset({"log", "log1p", "logit"})  # transforms that are not affine


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """A run with everything read."""

    folder: str
    config: Mapping[str, Any]
    job: Job
    history: History
    state: Mapping[str, Any]
    evaluation: Mapping[str, Any] | None
    measures: Mapping[str, Any]  # what was measured on the test rows, by the part string of the measure
    views: Views
    encoded: Encoded  # test rows, at most `MAP_ROWS`
    display: Display | None  # for images

    @property
    def raw_spec(self) -> DataSpec:
        """Of the data as the user has them."""
        return self.job.data.spec

    @property
    def spec(self) -> DataSpec:
        """Of the data as the likelihood sees them."""
        return self.job.spec

    @property
    def how_means_are_shown(self) -> str:
        """A word of warning where a mean was taken on another scale than it is shown on."""
        name = self.job.transform.name.partition(":")[0]
        return f"The mean is taken after the {name} and mapped back." if name in BENDING else ""

    @property
    def rows(self) -> str:
        """What data are called, in the plural."""
        return part_word(self.spec.layout) + "s"


def open_subject(run: Run, job: Job) -> Subject:
    """Read a run and encode its test rows."""
    views = Views(run.load().model, job)
    return Subject(
        folder=str(run.folder),
        config=run.config(),
        job=job,
        history=History(run.metrics(), run.state()),
        state=run.state(),
        evaluation=run.evaluation("test"),
        measures=run.measures("test"),
        views=views,
        encoded=views.encode(views.some_rows("test", MAP_ROWS)),
        display=Display(job.data) if job.data.spec.layout == "image" else None,
    )
