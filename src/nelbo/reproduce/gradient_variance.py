"""The variance of the gradient of the lower bound: score function with each baseline against reparameterised draws."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nelbo.core import Batch, Gradient, Model
from nelbo.networks import MLP
from nelbo.noise import own_noise
from nelbo.objectives import (
    ELBO,
    NVIL,
    VIMCO,
    AnalyticKL,
    Pathwise,
    Reinforce,
    ReinforceAverage,
    SampledKL,
    StickingTheLanding,
)
from nelbo.objectives.elbo import KLEstimator
from nelbo.reproduce.altosaar import passing
from nelbo.reproduce.record import Chart, Figure, Reproduction, Say, point
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare

DRAWS = (2, 5, 20)  # of z a datum: the leave-one-out baseline needs two
SHOWN = 5  # draws in the table
REPEATS = 200  # gradients of the same batch
ROWS = 100
BASELINE_STEPS = 1_000  # for baselines that learn; the model stands still meanwhile
STEPS = 6_000
SETTINGS: dict[str, Any] = {
    "source": "mnist",
    "binarize": "dynamic",
    "latent": 20,
    "hidden": (200,),
    "network": "mlp:activation=tanh",
    "validation": 0.0,
    "batch_size": 100,
    "lr": 1e-3,
    "steps": STEPS,
    "keep": "last",
}
GROUPS = {
    "encoder, first layer": "posterior.network.layers.0",
    "encoder, last layer": "posterior.network.layers.2",
    "decoder, first layer": "likelihood.network.layers.0",
    "decoder, last layer": "likelihood.network.layers.2",
}
SCORE: Mapping[str, Callable[[], Gradient]] = {
    "score function": Reinforce,
    "score function, moving average": ReinforceAverage,
    "score function, learnt baseline (NVIL)": lambda: NVIL(MLP(784, 1, hidden=(100,), activation="tanh")),
    "score function, leave one out (VIMCO)": VIMCO,
}
PATHWISE: Mapping[str, tuple[type[Gradient], type[KLEstimator]]] = {
    "pathwise": (Pathwise, SampledKL),
    "pathwise, KL in closed form": (Pathwise, AnalyticKL),
    "pathwise, sticking the landing": (StickingTheLanding, SampledKL),
}


def measure(seed: int, say: Say) -> dict[str, float]:
    """Total variance of each group's gradient over draws of z, before and after training, and its ratio to pathwise."""
    figures: dict[str, float] = {}
    job = prepare(resolve(SETTINGS, {"seed": seed}))
    batch = next(job.batches("train", batch_size=ROWS).fixed())
    for when, model in _states(job):
        for p in model.parameters():
            p.grad = None
        found: dict[tuple[str, int, str], float] = {}
        for name, draws in itertools.product((*PATHWISE, *SCORE), DRAWS):
            with own_noise(seed):
                objective = _settled(model, job, name, draws)
                variances = gradient_variances(objective, model, batch)
            found |= {(name, draws, group): value for group, value in variances.items()}
        say(f"{when}: measured")
        for group in GROUPS:
            for name, draws in itertools.product((*PATHWISE, *SCORE), DRAWS):
                figures[point(f"{when}: {group}", name, draws)] = found[name, draws, group]
                if draws == SHOWN and name != "pathwise":
                    ratio = found[name, draws, group] / found["pathwise", draws, group]
                    figures[f"{when}, {group}: {name}"] = ratio
        figures[_least(when)] = min(
            found[name, draws, group] / found["pathwise", draws, group]
            for name, draws, group in itertools.product(SCORE, DRAWS, (g for g in GROUPS if g.startswith("encoder")))
        )
    return figures


def gradient_variances(objective: ELBO, model: Model, batch: Batch) -> dict[str, float]:
    """The variance over draws of z, summed over the parameters of each group, of the gradient of the batch's loss."""
    objective.eval()  # moving averages stand still
    groups = {group: list(model.get_submodule(path).parameters()) for group, path in GROUPS.items()}
    parameters = [p for group in groups.values() for p in group]
    means: list[Tensor] = [torch.zeros_like(p, dtype=torch.float64) for p in parameters]
    squares = [torch.zeros((), dtype=torch.float64) for _ in parameters]  # summed over the entries of a parameter
    for repeat in range(1, REPEATS + 1):
        gradient = torch.autograd.grad(objective(batch).loss, parameters)
        for mean, square, new in zip(means, squares, gradient, strict=True):
            off = new - mean
            mean.add_(off / repeat)
            square.add_((off * (new - mean)).sum())  # Welford's update
    total = iter([float(square) / (REPEATS - 1) for square in squares])
    return {group: sum(itertools.islice(total, len(own))) for group, own in groups.items()}


def _states(job: Job) -> Iterator[tuple[str, Model]]:
    """The model as it starts, and as training leaves it."""
    start = job.build().model
    assert isinstance(start, Model)
    yield "at the start", start
    for _, model in passing(job, (STEPS,)):
        assert isinstance(model, Model)
        yield "after training", model


def _settled(model: Model, job: Job, name: str, draws: int) -> ELBO:
    """The objective with this estimator, its baseline learnt for the model as it stands."""
    if name in PATHWISE:
        gradient, kl = PATHWISE[name]
        return ELBO(model, draws, kl(), gradient=gradient())
    objective = ELBO(model, draws, SampledKL(), gradient=SCORE[name]())
    own = list(objective.gradient.parameters())
    if not own and not list(objective.gradient.buffers()):
        return objective
    objective.train()
    _learn(objective, own, job)
    return objective


def _learn(objective: ELBO, own: list[nn.Parameter], job: Job) -> None:
    adam = torch.optim.Adam(own, lr=1e-3) if own else None
    batches = itertools.chain.from_iterable(job.batches("train").epoch(epoch) for epoch in itertools.count(1))
    for batch in itertools.islice(batches, BASELINE_STEPS):
        loss = objective(batch).loss  # moves the moving average
        if adam is not None:
            for p, g in zip(own, torch.autograd.grad(loss, own), strict=True):
                p.grad = g
            adam.step()


def _least(when: str) -> str:
    return f"{when}: least ratio of a score-function variance to the pathwise one, encoder"


REPRODUCTION = Reproduction(
    name="gradient-variance",
    title=f"MNIST, 784-200-20 tanh: variance of gradient estimators over that of pathwise draws, {SHOWN} draws a datum",
    citation="kingma2014",
    configuration={
        **SETTINGS,
        "hidden": [200],
        "draws": list(DRAWS),
        "gradients": REPEATS,
        "rows": ROWS,
        "baseline_steps": BASELINE_STEPS,
    },
    figures=[
        Figure(_least(when), None, "section 2.2 of the paper: the score-function estimator has very high variance", 1.0)
        for when in ("at the start", "after training")
    ],
    measure=measure,
    sources=("mnist",),
    chart=Chart("draws of z a datum", "total variance of the gradient", logarithmic=True, logarithmic_y=True),
    remark=f"The variance is over draws of z, for one batch of {ROWS} images and one model, summed over the weights "
    "and biases of a layer; gradients are of the mean loss. All estimate the same gradient, which the tests check "
    "against quadrature. Baselines that learn had 1,000 steps with the model as it stands. The decoder's gradient "
    "needs no score, so that all share it but for their draws. Each draw's signal is its own term of the bound, less a "
    "baseline.",
)
