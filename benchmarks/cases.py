"""The models and data that are measured, from nelbo's own settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor

from nelbo.settings import resolve
from nelbo.train.job import Job, prepare

LATENT, HIDDEN, CHANNELS, LR = 20, 512, (16, 32), 1e-3
EVER = 1_000_000_000  # steps: whoever measures decides when to stop


@final
@dataclass(frozen=True)
class Case:
    """One network and batch size, on MNIST cut at half of the grey range."""

    name: str
    network: str
    batch_size: int

    @property
    def is_conv(self) -> bool:
        return self.network.startswith("conv")


CONV = f"conv:channels={'+'.join(map(str, CHANNELS))}"
CASES = {
    case.name: case for case in (Case("mlp-128", "mlp", 128), Case("mlp-512", "mlp", 512), Case("conv-128", CONV, 128))
}


def job_of(case: Case, *, rows: int | None = None, compile: bool = False, threads: int | None = None) -> Job:
    """The job of a case without validation rows: holding out is work that a plain loop does not do.

    Parameters
    ----------
    rows
        The first so many training rows; by default all 60,000.
    """
    settings: dict[str, Any] = {
        "source": "mnist",
        "binarize": "threshold",
        "likelihood": "bernoulli",
        "network": case.network,
        "hidden": (HIDDEN,),
        "latent": LATENT,
        "batch_size": case.batch_size,
        "lr": LR,
        "lr_schedule": "constant",
        "steps": EVER,
        "keep": "last",
        "validation": 0.0,
        "device": "cpu",
        "threads": threads,
        "compile": compile,
    }
    job = prepare(resolve(settings))
    if rows is None:
        return job
    return replace(job, split=replace(job.split, train=job.split.train[:rows]))


def binary_rows(job: Job, part: str = "train", rows: int | None = None) -> Tensor:
    """The first rows of a part as the likelihood sees them, float zeros and ones, [N, 1, 28, 28]."""
    chosen = getattr(job.split, part)[:rows]
    x, _ = job.transform(job.data.x[chosen], torch.Generator())
    return x


def orders(job: Job, steps: int) -> list[Tensor]:
    """The row numbers, counted within the training rows, of the batches that nelbo's trainer takes."""
    place = torch.empty(len(job.data), dtype=torch.int64)
    place[job.split.train] = torch.arange(len(job.split.train))
    batches = job.batches("train")
    found: list[Tensor] = []
    epoch = 0
    while len(found) < steps:
        epoch += 1
        found += [place[batch.index] for batch in batches.epoch(epoch) if batch.index is not None]
    return found[:steps]
