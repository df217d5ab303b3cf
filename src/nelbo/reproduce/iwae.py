"""Importance weighted autoencoders on dynamically binarised MNIST: more samples, a higher likelihood."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

from nelbo.evaluate import Estimate, importance_log_likelihood
from nelbo.models.activity import summarise_latents
from nelbo.reproduce.kept import trained
from nelbo.reproduce.record import Figure, Reproduction, Say
from nelbo.settings import resolve
from nelbo.train.job import prepare

AT_LEAST = -91.0  # k = 1, 100 epochs
GAIN = 0.5  # of k = 5 over k = 1, 100 epochs
DRAWS = 200
FULL_DRAWS = 5_000
PUBLISHED = {1: -86.76, 5: -85.54, 50: -84.78}  # table 1, one stochastic layer, 3280 epochs
ACTIVE = {1: 19, 5: 22, 50: 25}
SETTINGS: dict[str, Any] = {
    "source": "mnist",
    "binarize": "dynamic",
    "latent": 50,
    "hidden": (200, 200),
    "network": "mlp:activation=tanh,init=glorot",
    "likelihood": "bernoulli:start=mean",
    "validation": 0.0,
    "batch_size": 100,
    "lr": 1e-3,
    "lr_schedule": "cosine",
    "keep": "last",
}
RUNS = ((1, 30), (1, 100), (5, 100), (50, 30))  # k and epochs
PASSES = tuple(3**i for i in range(8))  # epochs at each of eight learning rates; Burda et al., section 5
FULL: dict[str, Any] = {
    **SETTINGS,
    "batch_size": 20,
    "epochs": sum(PASSES),
    "optimizer": "adam:eps=1e-4",
    "lr_schedule": "step:at="
    + "+".join(f"{done / sum(PASSES):.10f}" for done in accumulate(PASSES[:-1]))
    + f",factor={10 ** (-1 / 7):.10f}",
}


def measure(seed: int, say: Say) -> dict[str, float]:
    """Test log-likelihood and active units for each k and number of epochs, and what k gains at equal epochs."""
    return _measure("iwae", {(k, epochs): {**SETTINGS, "epochs": epochs} for k, epochs in RUNS}, DRAWS, seed, say)


def measure_full(seed: int, say: Say) -> dict[str, float]:
    """The same after the published schedule."""
    return _measure("iwae-full", {(k, sum(PASSES)): FULL for k in PUBLISHED}, FULL_DRAWS, seed, say)


def _measure(
    name: str, runs: Mapping[tuple[int, int], Mapping[str, Any]], draws: int, seed: int, say: Say
) -> dict[str, float]:
    figures: dict[str, float] = {}
    found: dict[tuple[int, int], Estimate] = {}
    for (k, epochs), settings in runs.items():
        job = prepare(resolve(settings, {"objective": _objective(k), "seed": seed}))
        model = trained(name, job)
        batches = job.batches("test", batch_size=500)
        estimate = found[k, epochs] = importance_log_likelihood(model, batches.fixed(), draws)
        figures |= {
            _log_likelihood(k, epochs): float(estimate.log_likelihood.mean()),
            f"bound, k = {k}, {epochs} epochs": float(estimate.bound.mean()),
            f"active units, k = {k}, {epochs} epochs": summarise_latents(model, batches.fixed()).active_units,
        }
        say(f"k = {k}, {epochs} epochs: {figures[_log_likelihood(k, epochs)]:.2f}")
    for k, epochs in runs:
        if k > 1:
            gain = found[k, epochs].log_likelihood - found[1, epochs].log_likelihood
            figures[_gain(k, epochs)] = float(gain.mean())
            figures[f"{_gain(k, epochs)}: standard error over images"] = float(gain.std() / math.sqrt(len(gain)))
            active = [figures[f"active units, k = {each}, {epochs} epochs"] for each in (k, 1)]
            figures[f"active units, k = {k} less k = 1, {epochs} epochs"] = active[0] - active[1]
    return figures


def _objective(k: int) -> str:
    return "elbo" if k == 1 else f"iwae:samples={k}"


def _log_likelihood(k: int, epochs: int) -> str:
    return f"log-likelihood, k = {k}, {epochs} epochs"


def _gain(k: int, epochs: int) -> str:
    return f"log-likelihood, k = {k} less k = 1, {epochs} epochs"


def _reproduction(
    name: str, title: str, settings: Mapping[str, Any], figures: list[Figure], measured: Callable[..., dict[str, float]]
) -> Reproduction:
    return Reproduction(
        name=name,
        title=title,
        citation="burda2016",
        configuration={**settings, "hidden": [200, 200]},
        figures=figures,
        measure=measured,
        sources=("mnist",),
        remark="Both halves have two hidden layers of 200 tanh units. The output bias starts at the logit of the "
        "training mean of each pixel, as in the published code. Test images are binarised once by their own noise, "
        "the same for all models. k = 1 is the lower bound with the KL in closed form. Interrupted, it goes on from "
        "the last epochs kept below runs/reproduce.",
    )


REPRODUCTION = _reproduction(
    "iwae",
    "Dynamic MNIST, 784-200-200-50 tanh, batches of 100, Adam 1e-3 with cosine decay: importance weighted autoencoders",
    {**SETTINGS, "k and epochs": [list(each) for each in RUNS], "importance_samples": DRAWS},
    [
        Figure(
            _log_likelihood(1, 100),
            -90.5,
            "a plain PyTorch loop, first 2,000 test images; after 3,280 epochs -86.76 is published",
            low=AT_LEAST,
        ),
        Figure(_gain(5, 100), PUBLISHED[5] - PUBLISHED[1], "Burda et al. (2016), table 1, 3,280 epochs", low=GAIN),
        Figure(_gain(50, 30), PUBLISHED[50] - PUBLISHED[1], "Burda et al. (2016), table 1, 3,280 epochs", low=0.0),
        *(
            Figure(
                f"active units, k = {k} less k = 1, {epochs} epochs",
                ACTIVE[k] - ACTIVE[1],
                "Burda et al. (2016), table 1, 3,280 epochs",
                low=0.5,
            )
            for k, epochs in RUNS
            if k > 1
        ),
    ],
    measure,
)
FULL_REPRODUCTION = _reproduction(
    "iwae-full",
    "Dynamic MNIST, 784-200-200-50 tanh, the published schedule of 3,280 epochs in batches of 20: IWAE, table 1",
    {**FULL, "k": list(PUBLISHED), "importance_samples": FULL_DRAWS},
    [
        Figure(_log_likelihood(k, sum(PASSES)), value, "Burda et al. (2016), table 1", value - 0.8, value + 0.8)
        for k, value in PUBLISHED.items()
    ],
    measure_full,
)
