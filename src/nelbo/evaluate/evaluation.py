"""One evaluation of a fitted model: every figure with its errors, its reference measure and its baselines."""

from __future__ import annotations

import csv
import io
import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from nelbo.core import Model
from nelbo.data import Batches, Data, DataSpec
from nelbo.errors import CompositionError
from nelbo.evaluate.baselines import Baseline, baselines
from nelbo.evaluate.latent import LatentSummary, summarise_latents
from nelbo.evaluate.likelihood import Estimate, Progress, importance_log_likelihood, standard_error
from nelbo.inputs import batches_of, check_alike
from nelbo.likelihoods import Elementwise
from nelbo.models.latent import LatentVariableModel
from nelbo.storage import write_text
from nelbo.train.job import Job, threads

TRAIN_ROWS = 2_000  # training rows whose bound is put beside the test bound
BATCH = 500


@final
@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of one split; log densities or masses at beta = 1, in nats per datum."""

    split: str
    spec: DataSpec
    density: bool
    estimate: Estimate
    latents: LatentSummary
    rows: Tensor  # [N]  row numbers in the data set
    train_bound: float | None = None  # single-draw bound on training rows, to see overfitting
    test_bound: float | None = None  # the same on these rows
    baselines: tuple[Baseline, ...] = field(default_factory=tuple)
    seconds: float = 0.0
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """One plain object; figures that do not exist are null."""
        estimate, dim = self.estimate, self.spec.dim
        bound, log_likelihood = float(estimate.bound.mean()), float(estimate.log_likelihood.mean())
        kl = None if self.latents.kl is None else float(self.latents.kl.sum())
        shift = _unit_shift(self.spec) if self.density else None
        return {
            "bound": bound,
            "bound_standard_error": finite(standard_error(estimate.bound)),
            "log_likelihood": log_likelihood,
            "standard_error": finite(estimate.standard_error),
            "monte_carlo_error": finite(estimate.monte_carlo_error),
            "bits_per_dim": -log_likelihood / (dim * math.log(2)),
            "reference_measure": self.spec.reference_measure(self.density),
            "importance_samples": estimate.samples,
            "effective_sample_size": float(estimate.effective_sample_size.mean()),
            "log_likelihood_by_samples": {str(k): v for k, v in estimate.by_samples.items()},
            "split": self.split,
            "n": estimate.n,
            "kl": kl,
            "likelihood": None if kl is None else bound + kl,
            "kl_per_latent": None if self.latents.kl is None else self.latents.kl.tolist(),
            "variance_of_means": self.latents.variance_of_means.tolist(),
            "active_units": self.latents.active_units,
            "share_at_floor": self.latents.share_at_floor,
            "per_unit": None
            if shift is None
            else {"bound": bound + shift, "log_likelihood": log_likelihood + shift, "unit": "density per [0, 1] unit"},
            "generalisation": None
            if self.train_bound is None
            else {"train_bound": self.train_bound, "test_bound": self.test_bound},
            "baselines": [
                {name: value for name, value in vars(baseline).items() if name != "per_row"}
                for baseline in self.baselines
            ],
            "warnings": list(self.spec.warnings),
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
        }

    def write_rows(self, path: Path) -> None:
        """One CSV line a row: its number, bound, log-likelihood and effective sample size."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["row", "bound", "log_likelihood", "effective_sample_size"])
        e = self.estimate
        columns = (self.rows, e.bound, e.log_likelihood, e.effective_sample_size)
        table.writerows(zip(*(column.tolist() for column in columns), strict=True))
        write_text(path, text.getvalue())


def evaluate(
    job: Job,
    model: Model,
    split: str = "test",
    *,
    samples: int = 1_000,
    data: Data | None = None,
    seed: int = 0,
    with_baselines: bool = True,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a fitted model on a split of its own data, or on other data of the same shape.

    Raises
    ------
    DataError
        If other data are of another shape or kind than the model was trained on.
    """
    started = time.perf_counter()
    with threads(job.settings.threads):
        batches = _batches(job, split, data)
        latent = _latent_model(model)
        result = evaluate_model(model, batches, samples, seed=seed, progress=progress)
        train = batches_of(job, rows=job.split.train[:TRAIN_ROWS])
        beside = _beside(job, batches, latent.latent) if with_baselines else []
        train_bound, test_bound = _single_draw_bound(latent, train), _single_draw_bound(latent, batches)
    return Evaluation(
        split=split if data is None else data.spec.name,
        spec=job.spec,
        density=_is_density(latent),
        estimate=result[0],
        latents=result[1],
        rows=torch.cat([batch.index for batch in batches.fixed() if batch.index is not None]),
        train_bound=train_bound,
        test_bound=test_bound,
        baselines=tuple(beside),
        seconds=time.perf_counter() - started,
        seed=seed,
    )


def evaluate_model(
    model: Model, batches: Batches, samples: int, *, seed: int = 0, progress: Progress | None = None
) -> tuple[Estimate, LatentSummary]:
    """The likelihood estimate and the summary of the latents over the rows of `batches`."""
    model.eval()
    latents = summarise_latents(_latent_model(model), batches.fixed())
    return importance_log_likelihood(model, batches.fixed(), samples, seed=seed, progress=progress), latents


def finite(value: float) -> float | None:
    """The value, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None


def _latent_model(model: Model) -> LatentVariableModel:
    if not isinstance(model, LatentVariableModel):
        raise CompositionError(f"{type(model).__name__} has no single prior and posterior to evaluate")
    return model


def _is_density(model: LatentVariableModel) -> bool:
    likelihood = model.likelihood
    return likelihood.density if isinstance(likelihood, Elementwise) else True


def _unit_shift(spec: DataSpec) -> float | None:
    """What a density per raw unit gains when it is given per [0, 1] unit: D log scale; None without such a unit."""
    scale = spec.scaling.scale
    if spec.scaling.name != "unit" or isinstance(scale, tuple):
        return None
    return spec.dim * math.log(scale)


def _batches(job: Job, split: str, data: Data | None) -> Batches:
    if data is None:
        return job.batches(split, batch_size=BATCH)
    check_alike(job, data)
    return batches_of(job, data)


def _beside(job: Job, batches: Batches, latent: int) -> list[Baseline]:
    """Baselines fitted on the training rows and scored on these, as the likelihood sees both."""
    fitted_on, _ = _values(job.batches("train", batch_size=BATCH))
    x, log_jacobian = _values(batches)
    return baselines(fitted_on, x, job.spec, latent, log_jacobian=log_jacobian)


def _values(batches: Batches) -> tuple[Tensor, Tensor | None]:
    """What the likelihood sees of all rows, and the log-Jacobian of the transform that made it so."""
    pairs = [(batch.x, batch.log_jacobian) for batch in batches.fixed()]
    jacobians = [jacobian for _, jacobian in pairs if jacobian is not None]
    return torch.cat([x for x, _ in pairs]), torch.cat(jacobians) if jacobians else None


@torch.inference_mode()
def _single_draw_bound(model: LatentVariableModel, batches: Batches) -> float:
    total, rows = 0.0, 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for batch in batches.fixed():
            terms = model.terms(batch, analytic=True)
            kl = terms.kl.sum(0).mean(0) if terms.kl is not None else (terms.log_px - terms.log_weights).mean(0)
            total += float((terms.log_px.mean(0) - kl).double().sum())
            rows += len(batch)
    return total / rows
