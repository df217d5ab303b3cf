"""Data with a plan for them: what can be examined before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor

from nelbo.data import Kind, evenly
from nelbo.data.duplicates import row_codes
from nelbo.data.spec import CONTINUOUS
from nelbo.doctor.commands import train_command
from nelbo.doctor.thresholds import BY_NATURE
from nelbo.train.job import Job

__all__ = ["Case"]

COUNTED = 5_000  # rows whose values are counted
CELLS = 2_000_000  # values looked at, in evenly spaced rows


@final
@dataclass(frozen=True, eq=False)
class Case:
    """A job before its training."""

    job: Job
    plugins: Sequence[str] = ()

    def train(self, **changes: Any) -> str:
        """The command that trains with some settings changed."""
        return train_command(self.job.settings, self.job.spec, self.plugins, **changes)

    @property
    def is_table(self) -> bool:
        return self.job.spec.layout == "table"

    @property
    def likelihood(self) -> str:
        """Its name, without options."""
        return self.job.settings.likelihood.partition(":")[0]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, as the user has them."""
        columns = self.job.data.spec.columns
        return tuple(column.name for column in columns) if columns else ()

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.job.split.train) / self.job.settings.batch_size)

    @property
    def steps(self) -> int:
        """Of the whole run, as planned."""
        settings = self.job.settings
        return settings.steps or self.steps_per_epoch * (settings.epochs or 1)

    @cached_property
    def codes(self) -> Tensor:
        """One code for each row of the data [N], equal for equal rows."""
        return row_codes(self.job.data.x)

    @cached_property
    def repeats_by_nature(self) -> bool:
        """Whether rows of few columns with few values, drawn independently, would often meet their like.

        Were the columns independent too, a row had (N - 1) prod_j sum_v p_jv^2 copies in expectation; they are not, so
        a much smaller figure will do.
        """
        if not self.is_table or self.job.data.spec.kind in CONTINUOUS:
            return False
        x = evenly(self.job.data.x, COUNTED)
        shares = (column.unique(return_counts=True)[1].double() / len(x) for column in x.T)
        log_match = sum(math.log(float(share.square().sum())) for share in shares)
        return log_match + math.log(len(self.job.data.x)) > math.log(BY_NATURE)

    @cached_property
    def seen(self) -> Tensor:
        """Some training rows as the likelihood sees them, [N, D] in float64."""
        job = self.job
        rows = evenly(job.split.train, max(2, CELLS // max(1, job.spec.dim)))
        # A binarisation that draws noise says nothing about the data.
        if job.spec.kind is Kind.BINARY:
            return job.data.x.index_select(0, rows).flatten(1).double()
        batch = next(job.batches("train", rows=rows, batch_size=len(rows)).fixed())
        return batch.x.flatten(1).double()

    @cached_property
    def scaled(self) -> Tensor:
        """The same as a network sees them, [N, D]."""
        scaling, shape = self.job.spec.scaling, self.job.spec.event_shape
        shift, scale = (each.double().flatten() for each in (scaling.shift_tensor(shape), scaling.scale_tensor(shape)))
        return (self.seen - shift) / scale

    @cached_property
    def eigenvalues(self) -> Tensor:
        """Of the covariance of what a network sees, the largest first, [min(N, D)]; at most a thousand rows of them."""
        some = evenly(self.scaled, 1_000)
        if some.shape[1] <= len(some):
            some = self.scaled[: 20 * 1_000]
            found = torch.linalg.eigvalsh(torch.cov(some.T, correction=0).reshape(some.shape[1], some.shape[1]))
        else:
            centred = some - some.mean(0)
            found = torch.linalg.eigvalsh(centred @ centred.T / len(some))
        eigenvalues: Tensor = found.clamp(min=0).flip(0)
        return eigenvalues
