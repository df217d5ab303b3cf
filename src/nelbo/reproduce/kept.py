"""Trainings of a reproduction, kept on disk: a long one goes on where it was interrupted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from nelbo.core import Model
from nelbo.reproduce.record import code, commit
from nelbo.storage import read_json, write_json
from nelbo.train.job import Job, train

RUNS = Path("runs/reproduce")


def trained(name: str, job: Job) -> Model:
    """The model of a job in evaluation mode, trained to the end from the last epoch that its checkpoint holds.

    A checkpoint is of these settings and this code alone; code that is not committed leaves none.
    """
    file = _file(name, job, "json")
    folder = None if file is None else file.with_suffix("")
    objective, _, _ = train(job, checkpoints=folder, resume=True)
    return objective.model.eval()


def remembered(name: str, job: Job, measure: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `measure` found for a job, measured once and kept.

    What is kept is of these settings and this code alone; code that is not committed leaves nothing.
    """
    file = _file(name, job, "json")
    if file is not None and file.exists():
        kept: dict[str, float] = read_json(file)
        return kept
    found = measure()
    if file is not None:
        write_json(file, found)
    return found


def _file(name: str, job: Job, suffix: str) -> Path | None:
    if commit().endswith("+"):
        return None
    content = f"{code()} {job.settings.model_dump_json()}"
    file = RUNS / name / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.{suffix}"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
