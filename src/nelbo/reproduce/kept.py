"""Trainings of a reproduction, kept on disk: a long one goes on where it was interrupted."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import cast

from nelbo.models.latent import LatentVariableModel
from nelbo.reproduce.record import code, commit
from nelbo.train.job import Job, model_of, train

RUNS = Path("runs/reproduce")


def trained(name: str, job: Job) -> LatentVariableModel:
    """The model of a job in evaluation mode, trained to the end from the last epoch that its checkpoint holds.

    A checkpoint is of these settings and this code alone; code that is not committed leaves none.
    """
    file = None
    if not commit().endswith("+"):
        content = f"{code()} {job.settings.model_dump_json()}"
        file = RUNS / name / f"{hashlib.sha256(content.encode()).hexdigest()[:16]}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
    objective, _, _ = train(job, checkpoint=file, resume=True)
    return cast("LatentVariableModel", model_of(objective)).eval()
