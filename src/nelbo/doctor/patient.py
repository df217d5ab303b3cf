"""A trained run with its model and its data: what the examinations look at, each figure worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch, Model, Objective
from nelbo.data import evenly
from nelbo.distributions.normal import Floored
from nelbo.doctor.case import Case
from nelbo.doctor.evidence import Evidence
from nelbo.models.activity import LatentSummary, of_log_variances, summarise_latents
from nelbo.noise import own_noise
from nelbo.solvers.baselines import marginals, values_seen
from nelbo.train.job import Job

__all__ = ["Latents", "Patient", "Terms"]

ROWS = 500  # rows of a part that are looked at
CHUNK = 250
FITTED = 4_000  # training rows that a baseline is fitted to


@final
@dataclass(frozen=True, eq=False)
class Terms:
    """The model's own terms of N rows, a draw of z each; nats, float64."""

    log_px: Tensor  # [N]
    kl: Tensor  # [N]

    @property
    def bound(self) -> Tensor:
        return self.log_px - self.kl


@final
@dataclass(frozen=True, eq=False)
class Latents:
    """What the latents of N held-out rows do, and the largest log-variance that a network emitted for them."""

    means: Tensor  # [N, D]
    summary: LatentSummary
    largest_log_variance: float
    where: str


@final
class Patient:
    """A run, opened once.

    Parameters
    ----------
    case
        Its job.
    evidence
        What its files say.
    model
        In evaluation mode; None where there is none yet, or it is of a kind that has no single prior and posterior.
    """

    def __init__(self, case: Case, evidence: Evidence, model: Model | None) -> None:
        self.case = case
        self.evidence = evidence
        self.model = model

    @property
    def job(self) -> Job:
        return self.case.job

    @property
    def held_out(self) -> str:
        """The part whose rows are looked at: those that nothing was chosen by, else those that only chose the epoch."""
        return "test" if len(self.job.split.test) else "validation"

    def batches(self, part: str, most: int = ROWS) -> list[Batch]:
        """At most so many evenly spaced rows of a part of the split, as the model reads them."""
        rows = evenly(getattr(self.job.split, part), most)
        return list(self.job.in_order(rows, batch_size=CHUNK).fixed())

    @cached_property
    def initial(self) -> Objective:
        """The objective as it was before the first step."""
        return self.job.build()

    @cached_property
    def is_as_planned(self) -> bool:
        """Whether the model is of the parts that the settings name: not where its prior was fitted afterwards."""
        if self.model is None:
            return False
        planned, own = ({n: t.shape for n, t in m.state_dict().items()} for m in (self.initial.model, self.model))
        return planned == own

    @cached_property
    def trained(self) -> Objective:
        """The objective with the weights that were kept, at the final weights of its loss, in evaluation mode."""
        objective = self.job.build()
        if self.model is not None:
            objective.model.load_state_dict(self.model.state_dict())
        return objective.eval()

    def terms(self, part: str, most: int = ROWS) -> Terms | None:
        """The model's own terms of rows of a part; None without a model or a density."""
        if self.model is None or not self.model.abilities.density or not len(getattr(self.job.split, part)):
            return None
        log_px, kl = [], []
        with torch.inference_mode(), own_noise():
            for batch in self.batches(part, most):
                terms = self.model.terms(batch, analytic=True)
                log_px.append(terms.mean(terms.log_px).double())
                kl.append(terms.rate.expand(len(batch)).double())
        return Terms(torch.cat(log_px), torch.cat(kl))

    @cached_property
    def held_out_terms(self) -> Terms | None:
        return self.terms(self.held_out)

    @cached_property
    def training_terms(self) -> Terms | None:
        return self.terms("train")

    @cached_property
    def marginals(self) -> float | None:
        """The log-likelihood of independent marginals of training rows, nats per datum of held-out ones."""
        fitted, _ = values_seen(self.batches("train", FITTED))
        x, log_jacobian = values_seen(self.batches(self.held_out))
        found = marginals(fitted, x, self.job.spec, log_jacobian=log_jacobian)
        return None if found is None else found.log_likelihood

    @cached_property
    def latents(self) -> Latents | None:
        """What the latents do."""
        if self.model is None:
            return None
        batches = self.batches(self.held_out)
        with of_log_variances(self.model, _largest) as found:
            summary = summarise_latents(self.model, batches)
        with torch.inference_mode():
            means = torch.cat([self.model.point(batch) for batch in batches]).double()
        largest = {name: max(values) for name, values in found.items()}
        where, value = max(largest.items(), key=lambda item: item[1], default=("", -float("inf")))
        return Latents(means, summary, value, where)


def _largest(owner: Floored, out: Tensor) -> Tensor:
    """The largest log-variance that an output stands for; infinite where one is not finite."""
    return torch.nan_to_num(owner.log_variance(out).double(), nan=torch.inf).max()
