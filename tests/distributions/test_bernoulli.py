"""Bernoulli by its logit, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import bernoulli, binomtest
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions import LogitBernoulli


def logits() -> Tensor:
    return torch.tensor([-30.0, -3.0, -0.1, 0.0, 0.1, 3.0, 30.0], dtype=torch.float64)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_log_mass_is_scipys(value: float) -> None:
    found = LogitBernoulli(logits()).log_prob(torch.full((7,), value).double())
    # Of 1 - p computed from -l: 1 - expit(30) has lost its digits.
    p = expit(logits().numpy() if value else -logits().numpy())
    np.testing.assert_allclose(found, np.log(p), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found[1:-1], bernoulli(expit(logits().numpy()[1:-1])).logpmf(int(value)), rtol=1e-10)


def test_masses_sum_to_one_and_moments_are_scipys() -> None:
    px = LogitBernoulli(logits())
    total = px.log_prob(torch.zeros(7).double()).exp() + px.log_prob(torch.ones(7).double()).exp()
    np.testing.assert_allclose(total, np.ones(7), rtol=1e-14)
    law = bernoulli(expit(logits().numpy()))
    np.testing.assert_allclose(px.mean, law.mean(), rtol=1e-12)
    np.testing.assert_allclose(px.variance, expit(logits().numpy()) * expit(-logits().numpy()), rtol=1e-12)
    assert px.mode.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_draws_of_the_distribution_can_be_scored_with_their_leading_shape() -> None:
    px = LogitBernoulli(torch.zeros(4, 3))
    drawn = px.sample((5,))
    assert drawn.shape == (5, 4, 3)
    torch.testing.assert_close(px.log_prob(drawn), torch.full((5, 4, 3), -float(np.log(2))))


@pytest.mark.parametrize("logit", [-4.0, -0.5, 0.0, 2.0])
def test_draws_come_up_as_often_as_they_should(logit: float) -> None:
    # An exact binomial test at 1e-4 on 50,000 draws.
    torch.manual_seed(0)
    drawn = LogitBernoulli(torch.tensor(logit).double()).sample((50_000,))
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}
    assert binomtest(int(drawn.sum()), 50_000, float(expit(logit))).pvalue > 1e-4


def test_gradients_are_finite_differences() -> None:
    x = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0]).double()
    assert gradcheck(lambda t: LogitBernoulli(t).log_prob(x), (logits().requires_grad_(),))


@pytest.mark.parametrize("logit", [-1e4, 1e4, -100.0, 100.0])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_extreme_logits_give_finite_masses_and_gradients_in_single_precision(logit: float, value: float) -> None:
    leaf = torch.tensor([logit], requires_grad=True)
    mass = LogitBernoulli(leaf).log_prob(torch.tensor([value]))
    mass.sum().backward()
    assert leaf.grad is not None
    assert bool(torch.isfinite(mass).all() & torch.isfinite(leaf.grad).all())
    assert float(mass.detach()) == pytest.approx(0.0 if (logit > 0) == bool(value) else -abs(logit))
    assert float(leaf.grad) == pytest.approx(value - float(expit(logit)))
