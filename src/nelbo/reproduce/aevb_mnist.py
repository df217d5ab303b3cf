"""MNIST, auto-encoding variational Bayes against wake-sleep, as in figure 2 of the paper."""

from __future__ import annotations

import itertools
from typing import Any

import torch

from nelbo.core import Batch, Model
from nelbo.data import evenly
from nelbo.noise import own_noise
from nelbo.objectives import ELBO
from nelbo.reproduce.altosaar import passing
from nelbo.reproduce.kept import remembered
from nelbo.reproduce.record import Chart, Figure, Reproduction, Say, point
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare

LATENTS = (3, 5, 10, 20, 200)
METHODS = {"AEVB": "elbo", "wake-sleep": "wake-sleep"}
STEPS = (300, 1_000, 2_000, 4_000, 7_000, 10_000, 15_000, 20_000, 25_000, 30_000)
ROWS = 5_000
DECLINE = 0.5  # nats that the test bound of many latents may lose from its best
SETTINGS: dict[str, Any] = {
    "source": "mnist",
    "binarize": "dynamic",
    "hidden": (500,),
    "network": "mlp:activation=tanh,init=glorot",
    "validation": 0.0,
    "optimizer": "adagrad:initial_accumulator_value=0.1,weight_decay=1.6667e-5",
    "lr": 0.02,
    "lr_schedule": "constant",
    "batch_size": 100,
    "steps": max(STEPS),
    "keep": "last",
}


def measure(seed: int, say: Say) -> dict[str, float]:
    """Train and test bound as each run passes some numbers of samples, and what AEVB gains over wake-sleep."""
    figures: dict[str, float] = {}
    for latent, (method, objective) in itertools.product(LATENTS, METHODS.items()):
        job = prepare(resolve(SETTINGS, {"latent": latent, "objective": objective, "seed": seed}))
        curve = remembered("aevb-mnist", job, lambda job=job: _curve(job))  # type: ignore[misc]
        for step in STEPS:
            for part in ("train", "test"):
                name = point(f"Nz = {latent}", f"{method} ({part})", step * job.settings.batch_size)
                figures[name] = curve[f"{part} {step}"]
        say(f"Nz = {latent}, {method}: test bound {curve[f'test {max(STEPS)}']:.2f}")
        figures[f"{method}, Nz = {latent}: train bound"] = curve[f"train {max(STEPS)}"]
        figures[f"{method}, Nz = {latent}: test bound"] = curve[f"test {max(STEPS)}"]
        if method == "AEVB":
            best = max(curve[f"test {step}"] for step in STEPS)
            figures[_decline(latent)] = best - curve[f"test {STEPS[-1]}"]
    for latent, part in itertools.product(LATENTS, ("train", "test")):
        figures[_gain(latent, part)] = (
            figures[f"AEVB, Nz = {latent}: {part} bound"] - figures[f"wake-sleep, Nz = {latent}: {part} bound"]
        )
    return figures


def _curve(job: Job) -> dict[str, float]:
    return {
        f"{part} {step}": bound(job, model, part) for step, model in passing(job, STEPS) for part in ("train", "test")
    }


@torch.no_grad()
def bound(job: Job, model: Model, part: str) -> float:
    """The lower bound of evenly spaced rows, one draw a row, the KL in closed form."""
    objective = ELBO(model).eval()
    batches = job.in_order(evenly(getattr(job.split, part), ROWS))
    with own_noise():
        values = [_bound(objective, batch) for batch in batches.fixed()]
    return float(torch.cat(values).double().mean())


def _bound(objective: ELBO, batch: Batch) -> torch.Tensor:
    value = objective(batch).bound
    assert value is not None  # the ELBO always has one
    return value


def _gain(latent: int, part: str) -> str:
    return f"{part} bound, AEVB less wake-sleep, Nz = {latent}"


def _decline(latent: int) -> str:
    return f"AEVB, Nz = {latent}: best test bound on the way less the last"


REPRODUCTION = Reproduction(
    name="aevb-mnist",
    title="MNIST (dynamic binarisation), 500 hidden tanh, Adagrad 0.02, 3e6 samples: AEVB against wake-sleep, bound",
    citation="kingma2014",
    configuration={**SETTINGS, "hidden": [500], "latent": list(LATENTS), "rows": ROWS},
    figures=[
        *(
            Figure(_gain(latent, "test"), None, "figure 2 of the paper: AEVB is above wake-sleep throughout", low=0.0)
            for latent in LATENTS
        ),
        Figure(
            _decline(LATENTS[-1]),
            None,
            "section 5 of the paper: superfluous latents did not overfit",
            high=DECLINE,
        ),
    ],
    measure=measure,
    sources=("mnist",),
    chart=Chart("training samples seen", "lower bound (nats)", logarithmic=True),
    remark="Weights have the prior N(0, I) of the paper, as weight decay of 1 / 60,000. Start and Adagrad's sums as in "
    f"aevb-frey. Bounds are of {ROWS:,} evenly spaced training and test images, each binarised once by its own noise; "
    "the bound of a wake-sleep model is that of its recognition model. Wake-sleep sees as many dreams as data; only "
    "data are counted.",
)
