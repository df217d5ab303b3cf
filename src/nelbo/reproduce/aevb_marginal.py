"""Estimated marginal likelihood of AEVB, wake-sleep and Monte Carlo EM on MNIST, as in figure 3 of the AEVB paper."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

from nelbo.data import evenly
from nelbo.evaluate import Annealing, annealed_log_likelihood
from nelbo.evaluate.posterior_draws import Chains, posterior_log_likelihood
from nelbo.reproduce.altosaar import passing
from nelbo.reproduce.kept import remembered
from nelbo.reproduce.record import Chart, Figure, Reproduction, Say, point
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare

METHODS = {"AEVB": "elbo", "wake-sleep": "wake-sleep", "MCEM": "mcem:transitions=1,leapfrog=10,acceptance=0.9"}
RUNS = {1_000: ("AEVB", "wake-sleep", "MCEM"), 50_000: ("AEVB", "wake-sleep")}
STEPS = (1_000, 3_000, 10_000, 20_000, 30_000)
ROWS = 100
CHAINS = Chains(chains=10, draws=20, warm_up=60)
ANNEALING = Annealing(chains=10, temperatures=200)
AGREEMENT = 0.5  # nats between the two estimators
SETTINGS: dict[str, Any] = {
    "source": "mnist",
    "binarize": "dynamic",
    "latent": 3,
    "hidden": (100,),
    "network": "mlp:activation=tanh,init=glorot",
    "validation": 0.0,
    "optimizer": "adagrad:initial_accumulator_value=0.1",
    "lr": 0.02,
    "lr_schedule": "constant",
    "batch_size": 100,
    "steps": max(STEPS),
    "keep": "last",
}


def measure(seed: int, say: Say) -> dict[str, float]:
    """log p(x) of training and test images as each run passes some numbers of samples; at the end by annealing too."""
    figures: dict[str, float] = {}
    for size, methods in RUNS.items():
        for method in methods:
            job = _job(size, method, seed)
            # The rows trained on are no setting, but part of what is measured.
            found = remembered(f"aevb-marginal-{size}", job, lambda job=job: _curve(job))  # type: ignore[misc]
            for step, part in itertools.product(STEPS, ("train", "test")):
                name = point(f"N = {size:,}", f"{method} ({part})", step * job.settings.batch_size)
                figures[name] = found[f"{part} {step}"]
            end = {part: found[f"{part} {STEPS[-1]}"] for part in ("train", "test")}
            for part in ("train", "test"):
                figures[_end(method, size, part)] = end[part]
                figures[f"{method}, N = {size:,}: {part}, by annealing"] = found[f"{part} annealed"]
                figures[_difference(method, size, part)] = abs(found[f"{part} annealed"] - end[part])
            say(f"N = {size:,}, {method}: {end['train']:.2f} train, {end['test']:.2f} test")
        for other in methods[1:]:
            for part in ("train", "test"):
                figures[_gain(other, size, part)] = figures[_end("AEVB", size, part)] - figures[_end(other, size, part)]
    return figures


def _job(size: int, method: str, seed: int) -> Job:
    """A run that sees the first training images only, as many epochs as its steps take."""
    weight_decay = f"{SETTINGS['optimizer']},weight_decay={1 / size:.6g}"  # the prior N(0, I) of weights
    settings = {"objective": METHODS[method], "optimizer": weight_decay, "seed": seed}
    job = prepare(resolve(SETTINGS, settings))
    return replace(job, split=replace(job.split, train=job.split.train[:size]))


def _curve(job: Job) -> dict[str, float]:
    found: dict[str, float] = {}
    for step, model in passing(job, STEPS):
        for part in ("train", "test"):
            batches = job.in_order(evenly(getattr(job.split, part), ROWS))
            estimate = posterior_log_likelihood(model, batches.fixed(), CHAINS)
            found[f"{part} {step}"] = float(estimate.log_likelihood.mean())
            if step == STEPS[-1]:
                annealed = annealed_log_likelihood(model, batches.fixed(), ANNEALING)
                found[f"{part} annealed"] = float(annealed.log_likelihood.mean())
    return found


def _end(method: str, size: int, part: str) -> str:
    return f"{method}, N = {size:,}: {part}"


def _gain(other: str, size: int, part: str) -> str:
    return f"AEVB less {other}, N = {size:,}: {part}"


def _difference(method: str, size: int, part: str) -> str:
    return f"{method}, N = {size:,}: annealing less posterior draws ({part}), absolute"


REPRODUCTION = Reproduction(
    name="aevb-marginal",
    title="MNIST (dynamic binarisation), 100 hidden tanh, Nz = 3: log p(x) of AEVB, wake-sleep and Monte Carlo EM",
    citation="kingma2014",
    configuration={
        **SETTINGS,
        "hidden": [100],
        "methods": METHODS,
        "rows": ROWS,
        "posterior_draws": vars(CHAINS),
        "annealing": vars(ANNEALING),
    },
    figures=[
        *(
            Figure(_gain(other, size, "train"), None, "figure 3 of the paper: AEVB is above", low=0.0)
            for size, methods in RUNS.items()
            for other in methods[1:]
        ),
        *(
            Figure(_difference(method, size, part), 0.0, "two estimators of one figure", high=AGREEMENT)
            for size, methods in RUNS.items()
            for method in methods
            for part in ("train", "test")
        ),
    ],
    measure=measure,
    sources=("mnist",),
    chart=Chart("training samples seen", "log p(x) (nats)", logarithmic=True),
    remark=f"By the paper's estimator from posterior draws (appendix D) on {ROWS} evenly spaced images of each part, "
    "the same for all methods, and at the end by annealed importance sampling too. Chains come from the prior along a "
    "path to the posterior, and the density is a mixture with a Gaussian for each chain. (With chains that started at "
    "draws of the recognition model, and one Gaussian, Monte Carlo EM on test images was estimated 3.4 nats lower than "
    "by annealing: its recognition model misses modes.) Monte Carlo EM has chains of one "
    "transition of 10 leapfrog steps aimed at 90 % accepted proposals, as in the paper, but they start at a "
    "recognition model that is fitted to the draws, where the paper's start at the datum's last draw and make five "
    "updates each. Weights have the prior N(0, I) as weight decay of 1 / N.",
)
