"""The comparison of gradients for binary latents, reduced to seconds: against hand-written loops in plain torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.evaluate import importance_log_likelihood
from nelbo.models.latent import LatentVariableModel
from nelbo.reproduce import bernoulli_latents as study
from nelbo.settings import resolve
from nelbo.train.job import prepare, train

STEPS, LR, ROWS, DRAWS = 200, 3e-3, 500, 50
BETWEEN_SEEDS = 3.0  # nats this early, at values near -150; a wrong term costs tens


class Plain(nn.Module):
    """x given z and z given x Bernoulli with linear logits, z Bernoulli with learned log-odds."""

    def __init__(self, x: Tensor, latent: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(x.shape[1], latent), nn.Linear(latent, x.shape[1])
        self.prior = nn.Parameter(torch.zeros(latent))
        self.offset = torch.logit(x.mean(0).clamp(0.001, 0.999))

    def log_px(self, codes: Tensor, x: Tensor) -> Tensor:
        return log_mass(x, self.decoder(codes) + self.offset)


def log_mass(value: Tensor, logits: Tensor) -> Tensor:
    return -F.binary_cross_entropy_with_logits(logits, value.expand_as(logits), reduction="none").sum(-1)


def vimco(model: Plain, x: Tensor) -> Tensor:
    """Mnih and Rezende (2016), algorithm 1, five draws."""
    logits = model.encoder(x)
    z = torch.bernoulli(logits.detach().sigmoid().expand(5, *logits.shape))
    log_q = log_mass(z, logits.expand_as(z))
    log_w = model.log_px(z, x) + log_mass(z, model.prior.expand_as(z)) - log_q
    value = torch.logsumexp(log_w, 0) - math.log(5)
    signals = []
    for k in range(5):
        without = log_w.detach().clone()
        without[k] = (log_w.detach().sum(0) - without[k]) / 4
        signals.append(value.detach() - torch.logsumexp(without, 0) + math.log(5))
    return -(value + (torch.stack(signals) * log_q).sum(0)).mean()


def concrete(model: Plain, x: Tensor) -> Tensor:
    """One draw of the binary Concrete of temperature 2/3 under a prior of 1/2, densities over log-odds."""

    def log_density(z: Tensor, logits: Tensor, t: float) -> Tensor:
        u = t * z - logits
        return (math.log(t) - u - 2 * F.softplus(-u)).sum(-1)

    logits, u = model.encoder(x), torch.rand(len(x), len(model.prior)).clamp(1e-6, 1 - 1e-6)
    z = (logits + u.logit()) * 1.5
    rate = log_density(z, logits, 2 / 3) - log_density(z, model.prior, 0.5)
    return (rate - model.log_px(z.sigmoid(), x)).mean()


@torch.no_grad()
def discrete_log_likelihood(model: Plain, x: Tensor) -> tuple[float, float]:
    """The bound and the importance-sampled log-likelihood with binary codes, means over rows."""
    logits, log_w = model.encoder(x), []
    for _ in range(DRAWS):
        z = torch.bernoulli(logits.sigmoid())
        log_w.append(model.log_px(z, x) + log_mass(z, model.prior.expand_as(z)) - log_mass(z, logits))
    stacked = torch.stack(log_w)
    return float(stacked.mean()), float((torch.logsumexp(stacked, 0) - math.log(DRAWS)).mean())


@pytest.mark.data
@pytest.mark.parametrize(("method", "loss"), [("VIMCO, IWAE", vimco), ("relaxed, ELBO", concrete)])
def test_static_mnist_trains_as_a_plain_loop_does(method: str, loss: Callable[[Plain, Tensor], Tensor]) -> None:
    reduced = {"steps": STEPS, "lr": LR, "lr_schedule": "constant", "threads": 1, "latent": 50}
    own = {**study.METHODS[method], **reduced}
    if method.startswith("relaxed"):  # the temperatures of the loop
        own |= {"prior": "relaxed-bernoulli:learned=true", "posterior": "relaxed-bernoulli"}
    job = prepare(resolve(study.SETTINGS, own))
    model = train(job)[0].model.eval()
    assert isinstance(model, LatentVariableModel)
    scored = model.discrete() if method.startswith("relaxed") else model
    estimate = importance_log_likelihood(scored, job.in_order(job.split.test[:ROWS]).fixed(), DRAWS)
    x = job.data.x[job.split.train].float().flatten(1)
    torch.manual_seed(0)
    plain = Plain(x, 50)
    optimiser = torch.optim.Adam(plain.parameters(), lr=LR)
    for rows in torch.randperm(len(x)).split(100)[:STEPS]:
        optimiser.zero_grad()
        loss(plain, x[rows]).backward()
        optimiser.step()
    bound, log_likelihood = discrete_log_likelihood(plain, job.data.x[job.split.test[:ROWS]].float().flatten(1))
    assert float(estimate.bound.mean()) == pytest.approx(bound, abs=BETWEEN_SEEDS)
    assert float(estimate.log_likelihood.mean()) == pytest.approx(log_likelihood, abs=BETWEEN_SEEDS)


TINY: dict[str, Any] = {
    **study.SETTINGS, "source": "digits", "binarize": "threshold", "latent": 6, "steps": 30, "threads": 1, "seed": 0,
}  # fmt: skip


def test_the_lead_is_that_of_the_best_of_each_kind_on_validation_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    figures = study.compare(TINY, lambda text: None, rows=100, draws=20)
    best = {}
    for kind in (False, True):
        names = [name for name in study.METHODS if name.startswith("relaxed") is kind]
        best[kind] = max(names, key=lambda name: figures[f"{name}: validation log-likelihood"])
    score, relaxed = (figures[f"{best[kind]}: log-likelihood"] for kind in (False, True))
    assert figures[study.LEAD] == pytest.approx(score - relaxed, abs=1e-9)
    assert figures[f"{study.LEAD}: standard error over images"] > 0
    for name in study.METHODS:
        assert figures[f"{name}: bound"] < figures[f"{name}: log-likelihood"]
    assert {figure.name for figure in study.REPRODUCTION.figures} <= set(figures)


def test_every_method_is_scored_with_the_same_kind_of_model() -> None:
    counts = set()
    for own in study.METHODS.values():
        job = prepare(resolve(TINY, own))
        model = job.build().model
        if model.abilities.reparameterised:
            model = model.discrete()
        counts.add((model.space, sum(p.numel() for p in model.parameters())))
    assert len(counts) == 1


def test_the_configuration_is_plain_json() -> None:
    json.dumps(dict(study.REPRODUCTION.configuration))
