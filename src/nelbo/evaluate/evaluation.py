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

from nelbo.core import Model, Space
from nelbo.data import Batches, Data, DataSpec, evenly
from nelbo.data.sources import Source
from nelbo.evaluate.annealing import (
    Annealed,
    Annealing,
    Bidirectional,
    annealed_log_likelihood,
    bidirectional_log_likelihood,
    simulate,
)
from nelbo.evaluate.likelihood import Estimate, Progress, importance_log_likelihood, standard_error
from nelbo.evaluate.pareto import RELIABLE
from nelbo.models.activity import LatentSummary, summarise_latents
from nelbo.noise import own_noise
from nelbo.runs.fitted import Fitted, TrainingRows
from nelbo.solvers.baselines import Baseline, values_seen
from nelbo.storage import write_text
from nelbo.train.job import Job, threads

TRAIN_ROWS = 2_000  # training rows whose bound is put beside the test bound
BATCH = 500


_OF_THE_LIKELIHOOD = (
    "bound",
    "bound_standard_error",
    "log_likelihood",
    "standard_error",
    "monte_carlo_error",
    "bits_per_dim",
    "importance_samples",
    "effective_sample_size",
    "pareto_k",
    "log_likelihood_by_samples",
    "likelihood",
    "per_unit",
)


@final
@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of one split; log densities or masses at beta = 1, in nats per datum."""

    split: str
    spec: DataSpec
    density: bool
    estimate: Estimate | None  # None where the posterior has no density: an autoencoder has no likelihood
    latents: LatentSummary
    rows: Tensor  # [N]  row numbers in the data set
    train_bound: float | None = None  # single-draw bound on training rows, to see overfitting
    test_bound: float | None = None  # the same on these rows
    reconstruction: Tensor | None = None  # [N]  log p(x given z) at the posterior mean
    baselines: tuple[Baseline, ...] = field(default_factory=tuple)
    annealing: Annealing | None = None
    annealed: Annealed | None = None  # on evenly spaced rows
    bracketed: Bidirectional | None = None  # on as many rows that the model made
    seconds: float = 0.0
    seed: int = 0
    space: str = Space.REAL.value
    discrete: bool = False  # the figures are those of the model that the trained one relaxes

    def as_json(self) -> dict[str, Any]:
        """One plain object; figures that do not exist are null."""
        return {
            **self._likelihood(),
            "reconstruction": None if self.reconstruction is None else float(self.reconstruction.mean()),
            "reconstruction_standard_error": None
            if self.reconstruction is None
            else finite(standard_error(self.reconstruction)),
            "reference_measure": self.spec.reference_measure(self.density),
            "latent_space": self.space,
            "discrete": self.discrete,
            "split": self.split,
            "n": len(self.rows),
            "kl": self.latents.rate,
            "kl_per_group": self.latents.by_group,
            "kl_per_latent": None if self.latents.kl is None else self.latents.kl.tolist(),
            "variance_of_means": self.latents.variance_of_means.tolist(),
            "active_units": self.latents.active_units,
            "share_at_floor": self.latents.share_at_floor,
            "generalisation": None
            if self.train_bound is None
            else {"train_bound": self.train_bound, "test_bound": self.test_bound},
            "baselines": [
                {name: value for name, value in vars(baseline).items() if name != "per_row"}
                for baseline in self.baselines
            ],
            **self._annealed(),
            "warnings": list(self.spec.warnings),
            "seed": self.seed,
            "seconds": round(self.seconds, 2),
        }

    def _likelihood(self) -> dict[str, Any]:
        """The estimated bound and log-likelihood with their errors; null where there is none."""
        e = self.estimate
        if e is None:
            return dict.fromkeys(_OF_THE_LIKELIHOOD)
        bound, log_likelihood, kl = float(e.bound.mean()), float(e.log_likelihood.mean()), self.latents.rate
        shift = _unit_shift(self.spec) if self.density else None
        per_unit = (
            None
            if shift is None
            else {"bound": bound + shift, "log_likelihood": log_likelihood + shift, "unit": "density per [0, 1] unit"}
        )
        figures = (
            bound,
            finite(standard_error(e.bound)),
            log_likelihood,
            finite(e.standard_error),
            finite(e.monte_carlo_error),
            -log_likelihood / (self.spec.dim * math.log(2)),
            e.samples,
            float(e.effective_sample_size.mean()),
            {
                "median": finite(float(e.pareto_k.median())),
                "share_above": float((e.pareto_k > RELIABLE).double().mean()),
            },
            {str(k): v for k, v in e.by_samples.items()},
            None if kl is None else bound + kl,
            per_unit,
        )
        return dict(zip(_OF_THE_LIKELIHOOD, figures, strict=True))

    def _annealed(self) -> dict[str, Any]:
        """What annealing found, where it was asked for."""
        how, found = self.annealing, {}
        if how is not None and self.annealed is not None:
            found["ais"] = {**_annealing(how), **_of_chains(self.annealed)}
        if how is not None and self.bracketed is not None:
            lower, upper = self.bracketed.lower, self.bracketed.upper
            found["bdmc"] = {
                **_annealing(how),
                "n": len(lower.log_likelihood),
                "lower": float(lower.log_likelihood.mean()),
                "upper": float(upper.log_likelihood.mean()),
                "gap": float((upper.log_likelihood - lower.log_likelihood).mean()),
                "lower_monte_carlo_error": finite(lower.monte_carlo_error),
                "upper_monte_carlo_error": finite(upper.monte_carlo_error),
            }
        return found

    def write_rows(self, path: Path) -> None:
        """One CSV line a row: its number, bound, log-likelihood and effective sample size."""
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        columns = {"row": self.rows}
        if self.estimate is not None:
            e = self.estimate
            columns |= {"bound": e.bound, "log_likelihood": e.log_likelihood}
            columns |= {"effective_sample_size": e.effective_sample_size, "pareto_k": e.pareto_k}
        if self.reconstruction is not None:
            columns["reconstruction"] = self.reconstruction
        table.writerow(columns)
        table.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        write_text(path, text.getvalue())


def evaluate(
    fitted: Fitted,
    data: Data | Source,
    rows: Tensor | None = None,
    *,
    split: str | None = None,
    training: TrainingRows | None = None,
    samples: int = 1_000,
    seed: int = 0,
    with_baselines: bool = True,
    discrete: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a fitted model on rows that are like those it was trained on.

    Parameters
    ----------
    data, rows
        Anything that `nelbo.load_data` reads, and row numbers in it (all by default).
    split
        What these rows are called; by default the name of the data.
    training
        The rows that the model was trained on, where they are at hand: their bound is put beside that of the rows.
    samples
        Importance samples a row, K.
    with_baselines
        Whether what baselines kept of the training rows is scored on these rows.
    discrete
        Whether the figures are those of the model that this one relaxes: discrete latents, the same networks.

    Raises
    ------
    DataError
        If the data are of another shape or kind than the model was trained on.
    CompositionError
        If `discrete` is asked of latents that are no relaxation.
    """
    started = time.perf_counter()
    data = fitted.read(data)
    batches = fitted.batches(data, rows, batch_size=BATCH)
    model = fitted.model.discrete() if discrete else fitted.model
    with threads(fitted.about.threads):
        estimate, latents = evaluate_model(model, batches, samples, seed=seed, progress=progress)
        train_bound = test_bound = reconstruction = None
        beside: list[Baseline] = []
        if not model.abilities.density:
            reconstruction = _reconstruction(model, batches)
        else:
            if with_baselines and fitted.baselines is not None:
                x, log_jacobian = values_seen(batches.fixed())
                beside = fitted.baselines.score(x, log_jacobian=log_jacobian)
            if training is not None:
                some = fitted.batches(training.data, evenly(training.rows, TRAIN_ROWS), batch_size=BATCH)
                train_bound, test_bound = _single_draw_bound(model, some), _single_draw_bound(model, batches)
    return Evaluation(
        split=split or data.spec.name,
        spec=fitted.spec,
        density=not model.scores_mass,
        estimate=estimate,
        latents=latents,
        rows=torch.cat([batch.index for batch in batches.fixed() if batch.index is not None]),
        train_bound=train_bound,
        test_bound=test_bound,
        reconstruction=reconstruction,
        baselines=tuple(beside),
        seconds=time.perf_counter() - started,
        seed=seed,
        space=model.space,
        discrete=discrete,
    )


def evaluate_split(job: Job, fitted: Fitted | Model, split: str = "test", **options: Any) -> Evaluation:
    """Evaluate the model of a job on a split of the job's own data; options as `evaluate`.

    A model that is no `Fitted` yet gets baselines that are fitted here to the training rows.
    """
    if isinstance(fitted, Model):
        fitted = Fitted.of(job, fitted, with_baselines=bool(options.get("with_baselines", True)))
    training = TrainingRows(job.data, job.split.train)
    return evaluate(fitted, job.data, job.rows(split), split=split, training=training, **options)


def evaluate_model(
    model: Model, batches: Batches, samples: int, *, seed: int = 0, progress: Progress | None = None
) -> tuple[Estimate | None, LatentSummary]:
    """The likelihood estimate (None without a density) and the summary of the latents over the rows of `batches`."""
    model.eval()
    latents = summarise_latents(model, batches.fixed())
    if not model.abilities.density:
        return None, latents
    return importance_log_likelihood(model, batches.fixed(), samples, seed=seed, progress=progress), latents


def anneal(
    fitted: Fitted,
    data: Data,
    rows: Tensor,
    annealing: Annealing,
    *,
    bracket: bool = False,
    progress: Progress | None = None,
) -> tuple[Annealed | None, Bidirectional | None]:
    """Annealed importance sampling of some rows; or, to `bracket`, of as many rows that the model makes."""
    model = fitted.model
    with threads(fitted.about.threads):
        batches = fitted.batches(data, rows)
        if not bracket:
            return annealed_log_likelihood(model, batches.fixed(), annealing, progress=progress), None
        made = []
        for number, batch in enumerate(batches.fixed()):
            z, x = simulate(model, batch, annealing.seed + number)
            made.append((batches.of(x, batch.context), z))
        return None, bidirectional_log_likelihood(model, made, annealing, progress=progress)


def _annealing(how: Annealing) -> dict[str, Any]:
    return {"chains": how.chains, "temperatures": how.temperatures, "leapfrog": how.leapfrog, "start": how.start}


def _of_chains(found: Annealed) -> dict[str, Any]:
    return {
        "n": len(found.log_likelihood),
        "log_likelihood": float(found.log_likelihood.mean()),
        "standard_error": finite(found.standard_error),
        "monte_carlo_error": finite(found.monte_carlo_error),
        "effective_sample_size": float(found.effective_sample_size.mean()),
        "acceptance": found.acceptance,
    }


def finite(value: float) -> float | None:
    """The value, or None where JSON has no word for it."""
    return value if math.isfinite(value) else None


def _unit_shift(spec: DataSpec) -> float | None:
    """What a density per raw unit gains when it is given per [0, 1] unit: D log scale; None without such a unit."""
    scale = spec.scaling.scale
    if spec.scaling.name != "unit" or isinstance(scale, tuple):
        return None
    return spec.dim * math.log(scale)


@torch.inference_mode()
def _reconstruction(model: Model, batches: Batches) -> Tensor:
    """log p(x given z) of every row at its posterior mean, [N] in float64."""
    scores = []
    for batch in batches.fixed():
        scores.append(model.log_px(model.point(batch).unsqueeze(0), batch)[0].double().cpu())
    return torch.cat(scores)


@torch.inference_mode()
def _single_draw_bound(model: Model, batches: Batches) -> float:
    total, rows = 0.0, 0
    with own_noise():
        for batch in batches.fixed():
            total += float(model.terms(batch, analytic=True).bound.double().sum())
            rows += len(batch)
    return total / rows
