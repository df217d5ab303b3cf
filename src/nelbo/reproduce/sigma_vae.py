"""Grey MNIST: one learned variance of the decoder against unit variance."""

from __future__ import annotations

import math
from typing import Any

import torch

from nelbo.core import Model
from nelbo.data import Batches
from nelbo.evaluate import importance_log_likelihood
from nelbo.noise import own_noise
from nelbo.reproduce.record import Figure, Reproduction, Say
from nelbo.settings import resolve
from nelbo.train.job import prepare, train

DRAWS = 100
SHARE = 0.01
PUBLISHED = {"unit": 740.5, "shared": -896.1}  # -log p of x/255, Rybkin et al.'s table
SETTINGS: dict[str, Any] = {
    "source": "mnist",
    "transform": "density",
    "latent": 20,
    "hidden": (512, 256),
    "epochs": 20,
    "batch_size": 128,
    "lr": 1e-3,
    "keep": "last",
}


def measure(seed: int, say: Say) -> dict[str, float]:
    """Log-likelihood per [0, 1] unit of the test images with each variance; the learned one beside the residuals."""
    figures: dict[str, float] = {}
    for sigma in ("unit", "shared", "optimal"):
        job = prepare(resolve(SETTINGS, {"likelihood": f"gaussian:sigma={sigma}", "seed": seed}))
        objective, _, _ = train(job)
        model = objective.model.eval()
        estimate = importance_log_likelihood(model, job.batches("test", batch_size=500).fixed(), DRAWS)
        per_unit = job.spec.dim * math.log(255)  # x/255 instead of x: the density gains log 255 a dimension
        figures[f"log-likelihood, {sigma} variance"] = float(estimate.log_likelihood.mean()) + per_unit
        residual = mean_square_residual(model, job.batches("train", batch_size=500))
        figures[f"residual mean square, {sigma} variance"] = residual
        if sigma != "unit":
            figures[f"variance, {sigma}"] = learned_variance(model)
            figures[f"{sigma} variance over residual mean square"] = figures[f"variance, {sigma}"] / residual
        say(f"{sigma}: {figures[f'log-likelihood, {sigma} variance']:.1f}")
    figures["gain of the learned variance"] = (
        figures["log-likelihood, shared variance"] - figures["log-likelihood, unit variance"]
    )
    return figures


def learned_variance(model: Model) -> float:
    """sigma^2 in units of [0, 1], of a model with one for all cells."""
    with torch.no_grad():
        px = model.decode(torch.zeros(1, model.latent))
    return float((px.stddev.flatten()[0] / 255) ** 2)


@torch.no_grad()
def mean_square_residual(model: Model, batches: Batches) -> float:
    """Mean over rows, cells and one draw of z of (x - mean(z))^2, in units of [0, 1]."""
    total, cells = 0.0, 0
    with own_noise():
        for batch in batches.fixed():
            z = model.encode(batch).sample()
            residual = (batch.x - model.decode(z).mean).double() / 255
            total += float(residual.square().sum())
            cells += residual.numel()
    return total / cells


REPRODUCTION = Reproduction(
    name="sigma-vae",
    title="Grey MNIST, Gaussian decoder: one learned variance against unit variance, nats, density per [0, 1] unit",
    citation="rybkin2021",
    configuration={**SETTINGS, "hidden": [512, 256], "importance_samples": DRAWS},
    figures=[
        Figure(
            "shared variance over residual mean square",
            1.0,
            "at the optimum they are equal (Rybkin et al. (2021), section 3)",
            1 - SHARE,
            1 + SHARE,
        ),
        Figure(
            "log-likelihood, unit variance",
            -PUBLISHED["unit"],
            "Rybkin et al. (2021), another network, bound",
        ),
        Figure("log-likelihood, shared variance", -PUBLISHED["shared"], "Rybkin et al. (2021), another network, bound"),
        Figure("gain of the learned variance", PUBLISHED["unit"] - PUBLISHED["shared"], "as above", low=0.0),
    ],
    measure=measure,
    sources=("mnist",),
    remark="Bytes are read as points of [0, 1] (x / 255) without dequantisation, as in the source: a density over data "
    "on a grid, whose value has no upper limit: it compares these two models with each other and nothing else.",
)
