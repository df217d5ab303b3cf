"""Zero-inflated counts: the mixture's masses by SciPy, moments and mode by enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch.autograd import gradcheck

from draws import assert_counted_as, assert_mean
from nelbo.distributions.negative_binomial import NegativeBinomial
from nelbo.distributions.zero_inflated import ZeroInflated

CASES = ((0.5, 2.0, -1.0), (6.0, 2.0, 0.0), (30.0, 50.0, -2.0), (30.0, 50.0, 3.0), (6.0, 0.3, -30.0))
EACH = pytest.mark.parametrize(("mean", "r", "logit"), CASES)
COUNTS = np.arange(4_000)


def law(mean: float, r: float, logit: float) -> ZeroInflated:
    log_mean, log_r, gate = (torch.tensor([v], dtype=torch.float64) for v in (math.log(mean), math.log(r), logit))
    return ZeroInflated(NegativeBinomial(log_mean, log_r), gate)


def masses(mean: float, r: float, logit: float) -> np.ndarray:
    share = special.expit(logit)
    return share * (COUNTS == 0) + (1 - share) * stats.nbinom(r, r / (r + mean)).pmf(COUNTS)


@EACH
def test_masses_are_those_of_the_mixture(mean: float, r: float, logit: float) -> None:
    found = law(mean, r, logit).log_prob(torch.from_numpy(COUNTS).double()).exp()
    np.testing.assert_allclose(found, masses(mean, r, logit), rtol=1e-9, atol=1e-14)
    assert float(found.sum()) == pytest.approx(1.0, abs=1e-9)


@EACH
def test_moments_and_mode_are_those_of_enumeration(mean: float, r: float, logit: float) -> None:
    px, p = law(mean, r, logit), masses(mean, r, logit)
    first = (p * COUNTS).sum()
    assert float(px.mean) == pytest.approx(first, rel=1e-8)
    assert float(px.variance) == pytest.approx((p * (COUNTS - first) ** 2).sum(), rel=1e-7)
    assert p[int(px.mode)] == pytest.approx(p.max(), rel=1e-12)


@EACH
def test_draws_follow_the_masses(mean: float, r: float, logit: float) -> None:
    torch.manual_seed(0)
    px = law(mean, r, logit)
    drawn = px.sample((40_000,))[:, 0]
    assert_counted_as(drawn, masses(mean, r, logit), comparisons=10)
    assert_mean(drawn, float(px.mean), float(px.variance) ** 0.5, comparisons=10, ceiling=0.1)


def test_gradients_are_finite_differences() -> None:
    x = torch.tensor([0.0, 3.0, 0.0]).double()
    values = ([0.3, 2.0, 5.0], [-1.0, 0.5, 4.0], [0.7, -3.0, -20.0])
    parameters = tuple(torch.tensor(v).double().requires_grad_() for v in values)
    assert gradcheck(lambda m, r, w: ZeroInflated(NegativeBinomial(m, r), w).log_prob(x), parameters)


@pytest.mark.parametrize("log_mean", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("log_r", [-10.0, 10.0])
@pytest.mark.parametrize("logit", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("x", [0.0, 1.0, 1e6])
def test_extremes_are_finite_in_single_precision(log_mean: float, log_r: float, logit: float, x: float) -> None:
    parameters = [torch.tensor([value], requires_grad=True) for value in (log_mean, log_r, logit)]
    px = ZeroInflated(NegativeBinomial(*parameters[:2]), parameters[2])
    mass = px.log_prob(torch.tensor([x]))
    gradients = torch.autograd.grad(mass.sum(), parameters)
    assert all(bool(torch.isfinite(t).all()) for t in (mass, *gradients))
    assert float(mass.detach()) <= 0
