"""The first three reproductions, reduced to seconds: against the closed form, and against hand-written loops."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator

import pytest
import torch
from torch import nn

from nelbo import recipes
from nelbo.core import Model
from nelbo.evaluate import importance_log_likelihood
from nelbo.reproduce import aevb_frey, altosaar, ppca
from nelbo.settings import resolve
from nelbo.solvers import fit_ppca
from nelbo.train.job import Job, prepare, train
from reproduce.plain import bernoulli, fit, log_likelihood, perceptron, sigmoid_gaussian


def measured(job: Job, model: Model, part: str, draws: int) -> tuple[float, float]:
    estimate = importance_log_likelihood(model.eval(), job.batches(part, batch_size=500).fixed(), draws)
    return float(estimate.bound.mean()), float(estimate.log_likelihood.mean())


def _copied(passed: Iterable[tuple[int, Model]]) -> Iterator[tuple[int, Model]]:
    return ((step, copy.deepcopy(model)) for step, model in passed)


def test_a_linear_vae_reaches_probabilistic_pca() -> None:
    settings = {**ppca.SETTINGS, "source": "digits", "epochs": 300, "latent": 2, "threads": 1}
    job = prepare(resolve(recipes.find("linear-vae").defaults, settings))
    objective, _, _ = train(job)
    bound, value = measured(job, objective.model, "test", 100)
    x = job.data.x.double().flatten(1)
    closed_form = float(fit_ppca(x, 2).log_likelihood(x).mean())
    assert bound <= value + 0.02
    assert value == pytest.approx(closed_form, abs=ppca.TOLERANCE)
    assert bound == pytest.approx(closed_form, abs=ppca.TOLERANCE)


@pytest.mark.data
def test_static_mnist_trains_as_a_plain_loop_does() -> None:
    steps = 400
    job = prepare(resolve(altosaar.SETTINGS, {"steps": steps, "threads": 1}))
    at_half, whole = (dict(model.state_dict()) for _, model in _copied(altosaar.passing(job, (steps // 2, steps))))
    objective, _, _ = train(job)
    assert all(torch.equal(whole[name], value) for name, value in objective.model.state_dict().items())
    assert not torch.equal(at_half["likelihood.network.layers.0.weight"], whole["likelihood.network.layers.0.weight"])
    bound, value = measured(job, objective.model, "test", 16)
    x = job.data.x[job.split.train].float().flatten(1)
    held_out = job.data.x[job.split.test].float().flatten(1)
    torch.manual_seed(0)
    nets = perceptron((784, 256, 256, 256), nn.ReLU), perceptron((128, 256, 256, 784), nn.ReLU)
    parameters = [p for net in nets for p in net.parameters()]
    optimiser = torch.optim.RMSprop(parameters, lr=1e-3, centered=True, eps=7.8e-11)
    fit(x, nets, bernoulli, optimiser, steps, 128)
    plain_bound, plain_value = log_likelihood(held_out, nets, bernoulli, 16)
    # Seeds differ by about a nat this early (values near -150); a wrong term costs tens.
    assert bound == pytest.approx(plain_bound, abs=4.0)
    assert value == pytest.approx(plain_value, abs=4.0)


@pytest.mark.data
def test_frey_faces_train_as_a_plain_loop_does() -> None:
    steps = 1_500
    job = prepare(resolve(aevb_frey.SETTINGS, {"steps": steps, "latent": 2, "split": "random", "threads": 1}))
    objective, _, _ = train(job)
    bound, _ = measured(job, objective.model, "train", 5)
    x = job.data.x[job.split.train].float().flatten(1) / 255
    torch.manual_seed(0)
    nets = perceptron((560, 200, 4), nn.Tanh, glorot=True), perceptron((2, 200, 1120), nn.Tanh, glorot=True)
    optimiser = torch.optim.Adagrad(
        [p for net in nets for p in net.parameters()], lr=0.02, initial_accumulator_value=0.1
    )
    fit(x, nets, sigmoid_gaussian, optimiser, steps, 100)
    plain_bound, _ = log_likelihood(x, nets, sigmoid_gaussian, 5)
    assert bound + 560 * math.log(255) == pytest.approx(plain_bound, abs=40.0)
