"""Gene counts: negative binomial, Poisson and Gaussian-on-log decoders compared as masses on the integers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nelbo.core import Model
from nelbo.data import Data, load, split
from nelbo.evaluate import importance_log_likelihood
from nelbo.evaluate.likelihood import standard_error
from nelbo.likelihoods import DiscretizedLogNormalLikelihood, GaussianLikelihood
from nelbo.models.latent import LatentVariableModel
from nelbo.registry import build
from nelbo.reproduce.record import Figure, Reproduction, Say
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare, train

GENES = 500
DRAWS = 200
READS = {"scaling": "log1p"}  # the same standardised log(1 + x) that the Gaussian's encoder reads by itself
NB, POISSON, INTERVAL, DENSITY = "negative binomial", "Poisson", "interval mass", "density of the logarithm"
MODELS: dict[str, dict[str, str]] = {
    NB: {"likelihood": "negative-binomial", **READS},
    POISSON: {"likelihood": "poisson", **READS},
    INTERVAL: {"likelihood": "discretized-log-normal", **READS},
    DENSITY: {"likelihood": "gaussian:sigma=dimension", "transform": "log1p"},
}
SETTINGS: dict[str, Any] = {
    "source": "single-cell",
    "split": "random",
    "latent": 10,
    "hidden": (128,),
    "epochs": 200,
    "batch_size": 128,
    "lr": 3e-3,
    "patience": 200,
    "keep": "best",
}


def measure(seed: int, say: Say) -> dict[str, float]:
    """Log-likelihood of the held-out cells under each model, and the paired lead of the negative binomial."""
    return compare({**SETTINGS, "seed": seed}, load(SETTINGS["source"]), say)


def compare(settings: dict[str, Any], data: Data, say: Say, genes: int = GENES, draws: int = DRAWS) -> dict[str, float]:
    """The figures for some settings and data; the choice of genes reads the training rows alone."""
    parts = split(data, settings["split"], seed=settings["seed"])
    data = most_variable(data, parts.train, genes)
    figures: dict[str, float] = {}
    scores: dict[str, Tensor] = {}
    for name, extra in MODELS.items():
        job = prepare(resolve(settings, extra), data)
        if not torch.equal(job.split.test, parts.test):
            raise RuntimeError("the rows held out are not those that the choice of genes left aside")
        objective, state, _ = train(job)
        model, job = scored_by_mass(objective.model, job)
        estimate = importance_log_likelihood(model.eval(), job.batches("test", batch_size=500).fixed(), draws)
        scores[name] = estimate.log_likelihood
        figures |= {
            f"{name}: log-likelihood": float(estimate.log_likelihood.mean()),
            f"{name}: standard error": estimate.standard_error,
            f"{name}: epoch kept": float(state.best_epoch),
            f"{name}: training seconds": state.seconds,
        }
        say(f"{name}: {figures[f'{name}: log-likelihood']:.2f} after {state.seconds:.0f} s")
    for name in list(MODELS)[1:]:
        lead = scores[NB] - scores[name]
        figures[f"{NB} less {name}"] = float(lead.mean())
        figures[f"{NB} less {name}: standard error"] = standard_error(lead)
    return figures


def most_variable(data: Data, rows: Tensor, genes: int) -> Data:
    """The columns whose log(1 + x) varies most over some rows, in the order of the data."""
    variance = data.x[rows].double().log1p().var(0)
    kept = variance.topk(genes).indices.sort().values
    columns = None if data.spec.columns is None else tuple(data.spec.columns[place] for place in kept.tolist())
    spec = data.spec.model_copy(update={"event_shape": (genes,), "columns": columns})
    return replace(data, x=data.x[:, kept].contiguous(), spec=spec)


def scored_by_mass(model: Model, job: Job) -> tuple[Model, Job]:
    """The model and the job that give masses: a Gaussian of log(1 + x) keeps its weights and is read by intervals."""
    gaussian = model.get_submodule("likelihood")
    if not isinstance(gaussian, GaussianLikelihood):
        return model, job
    part = DiscretizedLogNormalLikelihood(
        gaussian.network, job.spec.event_shape, "dimension", _listed(gaussian.shift), _listed(gaussian.scale),
        job.settings.min_log_variance,
    )  # fmt: skip
    with torch.no_grad():
        part.get_parameter("dispersion.learned.raw").copy_(gaussian.get_parameter("raw_log_variance.raw"))
    reads = prepare(job.settings.model_copy(update={"transform": "none", "likelihood": "poisson", **READS}), job.data)
    kept: dict[str, Any] = {name: model.get_submodule(name) for name in ("prior", "posterior")}
    reading = build(reads.objective_spec["model"]["reading"])
    return LatentVariableModel(**kept, likelihood=part, reading=reading), reads


def _listed(values: Tensor) -> list[float]:
    return [float(value) for value in values.flatten()]


def _lead(name: str, source: str) -> Figure:
    return Figure(f"{NB} less {name}", None, source, low=0.0)


_SOURCE = "counts vary more than a Poisson (Lopez et al. (2018)); the bar is our own"
REPRODUCTION = Reproduction(
    name="counts",
    title=f"Single cells, {GENES} genes: nats per cell, probability mass on the integers",
    citation="lopez2018",
    configuration={**SETTINGS, "hidden": [128], "models": MODELS, "genes": GENES, "importance_samples": DRAWS},
    figures=[
        _lead(POISSON, _SOURCE),
        _lead(INTERVAL, "a Gaussian on log(1 + x) at its best; the bar is our own"),
        _lead(DENSITY, "the same Gaussian fitted as is usual; the bar is our own"),
    ],
    measure=measure,
    sources=("single-cell",),
    remark=f"The {GENES} genes whose log(1 + x) varies most over the training rows of each seed; the rows held out are "
    "the same for all models, and standard errors of differences are over their pairs. No model is given the size of "
    "a cell's library: each learns it through its latents. All encoders read log(1 + x), standardised by the training "
    "rows. Both Gaussians are scored by the mass of the interval around each count, log(k + 1/2) to log(k + 3/2), open "
    "below for 0; 'interval mass' was also trained on it, 'density of the logarithm' on the density of log(1 + x). "
    "Weights are those of the best epoch on the validation rows, by each model's own bound; the learning rate, one for "
    "all, is the best of 1e-3, 3e-3 and 1e-2 by those bounds.",
)
