"""From a job to a run folder and back."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch

from nelbo import plugins
from nelbo.core import Objective
from nelbo.data.datasets import NAMES
from nelbo.errors import TrainingError
from nelbo.runs.fitted import Fitted
from nelbo.runs.folder import FAILED, FORMAT, Run, machine
from nelbo.runs.kept import keep_rows
from nelbo.settings import Settings
from nelbo.storage import sweep
from nelbo.train.checkpoint import TrainState
from nelbo.train.images import ImagesFolder, Painter
from nelbo.train.job import Job, prepare, train
from nelbo.train.loggers import open_loggers
from nelbo.train.monitor import Listener, MetricsFile, StepsFile


def train_run(
    source: Settings | Job,
    folder: Path,
    *,
    resume: bool = False,
    checkpoint: str | None = None,
    listeners: Sequence[Listener] = (),
    painter: Painter | None = None,
    rows_too: bool = False,
) -> Run:
    """Train into a run folder, or go on with what it holds: from its newest checkpoint, or from one by its name.

    Its figures go to the files of the run and to the loggers of the settings. What a training failed of stays in the
    run's state, for whoever looks for the reason later.

    Parameters
    ----------
    rows_too
        Whether the rows are kept with the run: those that were in memory can be found nowhere else.
    """
    run = Run(folder)
    if resume:
        sweep(run.folder)
    job = source if isinstance(source, Job) else prepare(source)
    opening = Opening(run, job, rows_too=rows_too, write=not resume)
    objective, state = trained(job, run, [opening], listeners, resume=resume, checkpoint=checkpoint, painter=painter)
    Fitted.of(job, objective.model).save(run.folder / "model")
    run.write_state(state.as_json())
    return run


def trained(
    job: Job,
    run: Run,
    first: Sequence[Listener],
    listeners: Sequence[Listener],
    *,
    resume: bool = False,
    checkpoint: str | None = None,
    painter: Painter | None = None,
    prefix: str = "",
) -> tuple[Objective, TrainState]:
    """Train one stage, its records and checkpoints in the run's folder.

    Parameters
    ----------
    first
        Told before the run's own files, which are told before the listeners.
    prefix
        How the names of its records start, where they are not those of the whole run.
    """
    steps = run.folder / f"{prefix}{run.steps_file.name}"
    files = [MetricsFile(run.folder / f"{prefix}{run.metrics_file.name}"), StepsFile(steps)]
    try:
        with open_loggers(job.settings.log, run.folder, job.settings) as loggers:
            objective, state, _ = train(
                job,
                checkpoints=run.checkpoints / job.stage,
                resume=resume,
                chosen=checkpoint,
                listeners=[*first, *files, ImagesFolder(run.folder / "images"), *loggers, *listeners],
                painter=painter,
            )
    except TrainingError as problem:
        run.write_state({"stopped": f"{FAILED}{problem}"})
        raise
    return objective, state


@final
class Opening(Listener):
    """Writes `config.json` when training starts: what is refused before then leaves no folder.

    Parameters
    ----------
    rows_too
        Whether the rows are kept beside it.
    write
        Whether there is anything to write: not where a run goes on.
    beside
        What else stands in it.
    """

    def __init__(
        self, run: Run, job: Job, *, rows_too: bool, write: bool, beside: Mapping[str, Any] | None = None
    ) -> None:
        self._run, self._job, self._rows_too, self._write = run, job, rows_too, write
        self._beside = dict(beside or {})

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:
        if not self._write or self._run.exists:
            return
        if self._rows_too:
            keep_rows(self._run.folder, self._job.data)
        self._run.write_config({**describe(self._job, is_kept=self._rows_too), **self._beside})


def describe(job: Job, is_kept: bool = False) -> dict[str, Any]:
    """`config.json`: the resolved settings, what the data are, and what they ran on.

    Parameters
    ----------
    is_kept
        Whether the rows are in the run's folder, so that their source is no place to look for them.
    """
    from nelbo import __version__

    source = job.settings.source if is_kept else _findable(job.settings.source)
    return {
        "format": FORMAT,
        "settings": job.settings.model_dump(mode="json") | {"source": source},
        "data": {
            "spec": job.spec.model_dump(mode="json"),
            "sha256": job.data.sha256,
            "rows": len(job.data),
            "split": {
                "how": job.split.how,
                "train": len(job.split.train),
                "validation": len(job.split.validation),
                "test": len(job.split.test),
                "notes": list(job.split.notes),
            },
        },
        "objective": dict(job.objective_spec),
        "plugins": plugins.used_by(job.objective_spec),
        "versions": {"nelbo": __version__, "torch": str(torch.__version__), "python": platform.python_version()},
        "machine": machine(),
    }


def _findable(source: str) -> str:
    """A name as it is; a path from the root, so that the run can be used from another folder."""
    return source if source in NAMES else str(Path(source).absolute())
