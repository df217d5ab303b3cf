"""The beta-binomial against SciPy and enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck

from draws import assert_counted_as, assert_mean
from nelbo.distributions.beta_binomial import BetaBinomial

SHAPES = ((1.0, 1.0), (0.3, 0.7), (4.0, 2.5), (0.9, 1.05), (3.0, 0.2), (900.0, 9_000.0))
EACH = pytest.mark.parametrize(("a", "b"), SHAPES)
LEVELS = pytest.mark.parametrize("levels", [2, 17, 256])


def law(a: float, b: float, levels: int) -> BetaBinomial:
    logit, log_n = (torch.tensor([math.log(v)], dtype=torch.float64) for v in (a / b, a + b))
    return BetaBinomial(logit, log_n, levels)


@EACH
@LEVELS
def test_masses_moments_and_mode_are_scipys_and_sum_to_one(a: float, b: float, levels: int) -> None:
    px, peer = law(a, b, levels), stats.betabinom(levels - 1, a, b)
    k = torch.arange(float(levels)).double()
    found = px.log_prob(k)
    np.testing.assert_allclose(found, peer.logpmf(k.numpy()), rtol=1e-7, atol=1e-7)
    assert float(found.exp().sum()) == pytest.approx(1.0, abs=1e-10)
    assert float(px.mean) == pytest.approx(peer.mean(), rel=1e-9)
    assert float(px.variance) == pytest.approx(peer.var(), rel=1e-8)
    assert float(found[int(px.mode)]) == pytest.approx(float(found.max()), abs=1e-9)


def test_a_flat_beta_makes_every_level_as_probable() -> None:
    found = law(1.0, 1.0, 17).log_prob(torch.arange(17.0).double())
    np.testing.assert_allclose(found, -math.log(17), rtol=1e-12)


def test_a_large_precision_is_a_binomial() -> None:
    px = law(0.3 * math.exp(18), 0.7 * math.exp(18), 17)
    k = np.arange(17)
    np.testing.assert_allclose(
        px.log_prob(torch.from_numpy(k).double()), stats.binom(16, 0.3).logpmf(k), rtol=0, atol=2e-5
    )


@EACH
def test_draws_follow_the_masses(a: float, b: float) -> None:
    torch.manual_seed(0)
    drawn = law(a, b, 17).sample((20_000,))[:, 0]
    peer = stats.betabinom(16, a, b)
    assert_counted_as(drawn, peer.pmf(np.arange(17)), comparisons=12)
    assert_mean(drawn, peer.mean(), peer.std(), comparisons=12, ceiling=0.06)


def test_gradients_are_finite_differences() -> None:
    x = torch.tensor([0.0, 3.0, 16.0]).double()
    parameters = tuple(torch.tensor(v).double().requires_grad_() for v in ([0.3, 2.0, -5.0], [-1.0, 0.5, 4.0]))
    assert gradcheck(lambda m, n: BetaBinomial(m, n, 17).log_prob(x), parameters)


@pytest.mark.parametrize("logit", [-20.0, 0.0, 20.0])
@pytest.mark.parametrize("log_n", [-10.0, 0.0, 11.0])
@pytest.mark.parametrize("x", [0.0, 100.0, 255.0])
def test_extremes_are_finite_and_draws_legal_in_single_precision(logit: float, log_n: float, x: float) -> None:
    torch.manual_seed(0)
    parameters = [torch.tensor([value], requires_grad=True) for value in (logit, log_n)]
    px = BetaBinomial(*parameters, 256)
    mass = px.log_prob(torch.tensor([x]))
    gradients = torch.autograd.grad(mass.sum(), parameters)
    drawn = px.sample((1_000,))
    for value in (drawn, px.mode):
        assert bool(((value >= 0) & (value <= 255) & (value == value.round())).all())
    assert all(bool(torch.isfinite(t).all()) for t in (mass, *gradients))
    assert float(mass.detach()) <= 1e-6
