"""Two or more fitted models on the same rows: differences are paired, so that what the rows share drops out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from nelbo.core import Model
from nelbo.errors import CompositionError, DataError
from nelbo.evaluate.evaluation import finite
from nelbo.evaluate.likelihood import Estimate, Progress, importance_log_likelihood, standard_error
from nelbo.train.job import Job, threads


@final
@dataclass(frozen=True, eq=False)
class Comparison:
    """Estimates of several models for the same N rows; the first is what the others are compared with."""

    names: tuple[str, ...]
    estimates: tuple[Estimate, ...]
    rows: Tensor  # [N]  row numbers in the data set
    reference_measure: str

    def difference(self, place: int, figure: str = "log_likelihood") -> Tensor:
        """A model's figure less the first one's, row by row, [N]."""
        later: Tensor = getattr(self.estimates[place], figure)
        first: Tensor = getattr(self.estimates[0], figure)
        return later - first

    def as_json(self) -> dict[str, Any]:
        """One plain object: each model's figures, and its paired differences from the first."""
        models = []
        for place, (name, estimate) in enumerate(zip(self.names, self.estimates, strict=True)):
            figures: dict[str, Any] = {
                "name": name,
                "log_likelihood": float(estimate.log_likelihood.mean()),
                "standard_error": finite(estimate.standard_error),
                "bound": float(estimate.bound.mean()),
            }
            for figure in ("log_likelihood", "bound") if place else ():
                gain = self.difference(place, figure)
                figures[f"{figure}_difference"] = float(gain.mean())
                figures[f"{figure}_difference_standard_error"] = finite(standard_error(gain))
                figures[f"{figure}_better_rows"] = float((gain > 0).double().mean())
            models.append(figures)
        return {
            "models": models,
            "n": len(self.rows),
            "importance_samples": self.estimates[0].samples,
            "reference_measure": self.reference_measure,
        }


def compare(
    fitted: Sequence[tuple[str, Job, Model]],
    split: str = "test",
    *,
    samples: int = 1_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Importance-sampled log-likelihoods of several models on the rows that all of them hold out.

    Raises
    ------
    DataError
        If they were trained on different data, or hold out no row in common.
    CompositionError
        If their likelihoods have different reference measures, which no difference can bridge.
    """
    rows = shared_rows([job for _, job, _ in fitted], split)
    measure = shared_reference(fitted)
    estimates = []
    for _, job, model in fitted:
        with threads(job.settings.threads):
            batches = job.in_order(rows)
            estimates.append(
                importance_log_likelihood(model.eval(), batches.fixed(), samples, seed=seed, progress=progress)
            )
    return Comparison(tuple(name for name, _, _ in fitted), tuple(estimates), rows, measure)


def shared_reference(fitted: Sequence[tuple[str, Job, Model]]) -> str:
    """The reference measure that the likelihoods of all models have."""
    measures = [job.spec.reference_measure(not model.scores_mass) for _, job, model in fitted]
    for (name, _, model), measure in zip(fitted, measures, strict=True):
        if measure != measures[0]:
            raise CompositionError(
                f"{fitted[0][0]} gives a {measures[0]} but {name} a {measure}: figures with different reference "
                "measures cannot be compared; train both with the same likelihood and transform"
            )
        if not model.abilities.density:
            raise CompositionError(f"{name} is an autoencoder, which has no likelihood to compare")
    return measures[0]


def shared_rows(jobs: Sequence[Job], split: str) -> Tensor:
    """The rows of a split that all jobs have in it, in their order."""
    first = jobs[0]
    for job in jobs[1:]:
        if job.data.sha256 != first.data.sha256:
            raise DataError(
                f"the runs were trained on different data ({first.data.spec.name!r} and {job.data.spec.name!r}); "
                "compare runs of one data set"
            )
    rows: Tensor = getattr(first.split, split)
    for job in jobs[1:]:
        rows = rows[torch.isin(rows, getattr(job.split, split))]
    if not len(rows):
        raise DataError(f"the runs have no {split} row in common; train them with the same --split and --seed")
    return rows


def enough(gain: float, error: float | None) -> str:
    """What a paired difference says, in a word."""
    if error is None or not math.isfinite(error) or abs(gain) <= 2 * error:
        return "no difference beyond two standard errors"
    return "better" if gain > 0 else "worse"
