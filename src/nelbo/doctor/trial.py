"""Short trials: the run's own first steps again, at other learning rates."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch
from torch import Tensor

from nelbo.core import Batch, Objective
from nelbo.errors import TrainingError
from nelbo.noise import apart, own_noise
from nelbo.train.job import Job, make_trainer, threads

__all__ = ["losses", "trial"]


def trial(job: Job, lr: float, steps: int, seconds: float) -> Objective | None:
    """Train a job afresh for some steps, or as many as fit in some seconds, at a constant learning rate.

    From the run's own first weights, in its order of batches, at the final weights of its loss. None where the loss
    turns non-finite.
    """
    changes = {"lr": lr, "steps": steps, "epochs": None, "lr_schedule": "constant", "warmup": "none", "ema": None}
    settings = job.settings.model_copy(update={**changes, "compile": False, "device": "cpu", "precision": "float32"})
    end = time.monotonic() + seconds
    with threads(settings.threads), apart():
        trainer = make_trainer(replace(job, settings=settings))
        torch.manual_seed(settings.seed + 1)
        try:
            for _ in trainer.walk():
                if time.monotonic() >= end:
                    break
        except TrainingError:
            return None
    if any(not bool(torch.isfinite(p).all()) for p in trainer.objective.parameters()):
        return None
    return trainer.objective


@torch.no_grad()
def losses(objective: Objective, batches: list[Batch]) -> Tensor:
    """The loss of each row, [N] in float64, with noise that is the same each time; parts without rows count for all."""
    objective.eval()
    found = []
    with own_noise():
        for batch in batches:
            parts = objective.phases[0](batch).parts.values()
            found.append(torch.stack([part.double().expand(len(batch)) for part in parts]).sum(0))
    total = torch.cat(found)
    return torch.nan_to_num(total, nan=math.inf)
