"""Fashion-MNIST as bytes: a convolutional and a fully connected VAE against image compressors."""

from __future__ import annotations

import math
from typing import Any

from nelbo.core import Model
from nelbo.evaluate import baselines, importance_log_likelihood
from nelbo.reproduce.record import Figure, Reproduction, Say
from nelbo.settings import resolve
from nelbo.train.job import Job, dry_run, prepare, train

BUDGET = 180.0  # seconds of training for each network
DRAWS = 10
LATENT = 32
SETTINGS: dict[str, Any] = {
    "source": "fashion-mnist",
    "likelihood": "discretized-logistic",
    "latent": LATENT,
    "batch_size": 128,
    "lr": 1e-3,
    "keep": "best",
}
CONV = "conv:channels=32+64"


def measure(seed: int, say: Say) -> dict[str, float]:
    """Bits per dimension (from the bound, all test images) of both networks at equal size and equal wall-clock."""
    figures: dict[str, float] = {}
    conv_job = _job({"network": CONV}, seed)
    size = _size(conv_job.build())
    mlp_job = _job({"network": "mlp", "hidden": (_width(size, conv_job.spec.dim),)}, seed)
    for name, job in (("conv", conv_job), ("mlp", mlp_job)):
        per_epoch = dry_run(job).seconds_per_epoch
        epochs = max(1, round(BUDGET / per_epoch))
        timed = job.settings.model_copy(update={"epochs": epochs, "patience": epochs})
        objective, state, _ = train(Job(timed, job.data, job.split, job.transform, job.spec, job.objective_spec))
        model = objective.model.eval()
        figures |= _figures_of(name, model, job)
        figures |= {
            f"{name}: parameters": float(_size(objective)),
            f"{name}: epochs": float(state.epoch),
            f"{name}: training seconds": state.seconds,
        }
        say(f"{name}: {figures[f'{name}: bits per dimension']:.3f} bits/dim after {state.epoch} epochs")
    figures |= _baselines(conv_job)
    for name in ("conv", "mlp"):
        figures[f"{name} less PNG"] = figures[f"{name}: bits per dimension"] - figures["PNG: bits per dimension"]
    return figures


def _job(extra: dict[str, Any], seed: int) -> Job:
    return prepare(resolve(SETTINGS, extra, {"seed": seed, "epochs": 1}))


def _figures_of(name: str, model: Model, job: Job) -> dict[str, float]:
    estimate = importance_log_likelihood(model, job.batches("test", batch_size=500).fixed(), DRAWS)
    return {f"{name}: bits per dimension": -float(estimate.bound.mean()) / (job.spec.dim * math.log(2))}


def _baselines(job: Job) -> dict[str, float]:
    train_x, test_x = job.data.x[job.split.train], job.data.x[job.split.test]
    found = baselines(train_x, test_x, job.spec, LATENT)
    return {f"{baseline.name}: bits per dimension": baseline.bits_per_dim for baseline in found}


def _size(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _width(size: int, dim: int) -> int:
    """The hidden width of a one-layer encoder and decoder with as many parameters as asked for."""
    per_unit = dim + 1 + 2 * LATENT + LATENT + 1 + 2 * dim
    return round((size - 2 * LATENT - 2 * dim) / per_unit)


REPRODUCTION = Reproduction(
    name="fashion-bytes",
    title="Fashion-MNIST bytes, discretised logistic, conv and MLP at equal parameters and equal wall-clock",
    citation="kingma2014",
    configuration={**SETTINGS, "conv": CONV, "seconds": BUDGET, "draws": DRAWS},
    figures=[Figure(f"{name} less PNG", None, "below PNG's, measured here", high=0.0) for name in ("conv", "mlp")],
    measure=measure,
    sources=("fashion-mnist",),
    remark="Bits per dimension from the bound: what a bits-back coder would need. PNG and gzip are lossless coders of "
    "the same test images.",
)
