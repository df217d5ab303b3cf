"""From a job to a run folder and back."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch

from nelbo import plugins
from nelbo.data import Data
from nelbo.data.datasets import NAMES
from nelbo.errors import ConfigError, TrainingError
from nelbo.runs.fitted import Fitted
from nelbo.runs.folder import FAILED, FORMAT, Run, machine, refuse_refit
from nelbo.runs.kept import keep_rows, kept_rows
from nelbo.settings import Settings, resolve
from nelbo.storage import sweep
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
        refuse_refit(run)
        sweep(run.folder)
    job = source if isinstance(source, Job) else prepare(source)
    files = [MetricsFile(run.metrics_file), StepsFile(run.steps_file), ImagesFolder(run.folder / "images")]
    try:
        with open_loggers(job.settings.log, run.folder, job.settings) as loggers:
            objective, state, _ = train(
                job,
                checkpoints=run.checkpoints,
                resume=resume,
                chosen=checkpoint,
                listeners=[_Opening(run, job, write=not resume, rows_too=rows_too), *files, *loggers, *listeners],
                painter=painter,
            )
    except TrainingError as problem:
        run.write_state({"stopped": f"{FAILED}{problem}"})
        raise
    Fitted.of(job, objective.model).save(run.folder / "model")
    run.write_state(state.as_json())
    return run


@final
class _Opening(Listener):
    """Writes `config.json` when training starts: what is refused before then leaves no folder."""

    def __init__(self, run: Run, job: Job, write: bool, rows_too: bool) -> None:
        self._run, self._job, self._write, self._rows_too = run, job, write, rows_too

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:
        if not self._write:
            return
        if self._rows_too:
            keep_rows(self._run.folder, self._job.data)
        self._run.write_config(describe(self._job, is_kept=self._rows_too))


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


def reopen(run: Run, data: Data | None = None) -> Job:
    """The job of a run again, from its configuration; the data must be those it was trained on.

    Raises
    ------
    ConfigError
        If the data changed since, or the run needs a plugin that was not loaded.
    """
    config = run.config()
    plugins.require(config.get("plugins", ()), str(run.folder))
    settings = resolve(config["settings"])
    job = prepare(settings, kept_rows(run.folder) if data is None else data)
    if job.data.sha256 != config["data"]["sha256"]:
        raise ConfigError(
            f"{settings.source!r} no longer holds the data that {run.folder} was trained on (its content differs); "
            "restore them, or give other data explicitly with --data"
        )
    return job
