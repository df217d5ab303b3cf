"""Fashion-MNIST, dynamically binarised: the VampPrior against the standard normal one."""

from __future__ import annotations

import math
from typing import Any

from nelbo.evaluate import Estimate, importance_log_likelihood
from nelbo.reproduce.record import Figure, Reproduction, Say
from nelbo.settings import resolve
from nelbo.train.job import prepare, train

BOUND, LOG_LIKELIHOOD = -236.6, -232.6  # a plain loop at 50 epochs, standard prior
TOLERANCE = 1.5
GAIN = 0.8
ROWS, SAMPLES = 3_000, 500
PRIORS = {"standard": "standard", "VampPrior": "vamp:components=500"}
SETTINGS: dict[str, Any] = {
    "source": "fashion-mnist",
    "binarize": "dynamic",
    "latent": 40,
    "hidden": (300, 300),
    "network": "gated-mlp",
    "epochs": 50,
    "warmup": "linear:20epochs",
    "lr": 5e-4,
    "lr_schedule": "constant",
    "batch_size": 100,
    "keep": "best",
}


def measure(seed: int, say: Say) -> dict[str, float]:
    """Bound and importance-sampled log-likelihood of the same test images under both priors, and their difference."""
    figures: dict[str, float] = {}
    found: dict[str, Estimate] = {}
    for name, prior in PRIORS.items():
        job = prepare(resolve(SETTINGS, {"prior": prior, "seed": seed}))
        objective, state, _ = train(job)
        held_out = job.in_order(job.split.test[:ROWS])
        found[name] = importance_log_likelihood(objective.model.eval(), held_out.fixed(), SAMPLES)
        figures |= {
            f"{name} prior: bound": float(found[name].bound.mean()),
            f"{name} prior: log-likelihood": float(found[name].log_likelihood.mean()),
            f"{name} prior: training seconds": state.seconds,
        }
        say(f"{name} prior: log-likelihood {figures[f'{name} prior: log-likelihood']:.2f}")
    gain = found["VampPrior"].log_likelihood - found["standard"].log_likelihood
    figures["VampPrior less standard, log-likelihood"] = float(gain.mean())
    figures["standard error of the difference over images"] = float(gain.std() / math.sqrt(len(gain)))
    return figures


REPRODUCTION = Reproduction(
    name="fashion-vamp",
    title="Fashion-MNIST, dynamic binarisation, gated 784-300-300-40, 50 epochs: VampPrior (500) and standard prior",
    citation="tomczak2018",
    configuration={**SETTINGS, "hidden": [300, 300], "priors": PRIORS, "importance_samples": SAMPLES, "rows": ROWS},
    figures=[
        Figure("standard prior: bound", BOUND, "a plain PyTorch loop, 50 epochs", BOUND - TOLERANCE, BOUND + TOLERANCE),
        Figure(
            "standard prior: log-likelihood",
            LOG_LIKELIHOOD,
            "a plain PyTorch loop, 50 epochs; at convergence -228.70 +- 0.15 is published",
            LOG_LIKELIHOOD - TOLERANCE,
            LOG_LIKELIHOOD + TOLERANCE,
        ),
        Figure(
            "VampPrior less standard, log-likelihood",
            228.70 - 227.35,
            "Tomczak and Welling (2018), at convergence",
            low=GAIN,
        ),
    ],
    measure=measure,
    sources=("fashion-mnist",),
    remark=f"The first {ROWS:,} test images, each binarised once by its own noise, under both priors.",
)
