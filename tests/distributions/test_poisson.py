"""The Poisson against SciPy and, at large counts in single precision, many digits."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck

from draws import assert_counted_as, assert_mean
from nelbo.distributions.poisson import Poisson

MEANS = (1e-3, 0.7, 6.0, 400.0)
EACH = pytest.mark.parametrize("mean", MEANS)


def law(mean: float, dtype: torch.dtype = torch.float64) -> Poisson:
    return Poisson(torch.tensor([math.log(mean)], dtype=dtype))


@EACH
def test_masses_and_moments_are_scipys_and_sum_to_one(mean: float) -> None:
    px, peer = law(mean), stats.poisson(mean)
    x = torch.arange(2_000.0).double()
    np.testing.assert_allclose(px.log_prob(x), peer.logpmf(x.numpy()), rtol=1e-9, atol=1e-9)
    assert float(px.log_prob(x).exp().sum()) == pytest.approx(1.0, abs=1e-10)
    assert float(px.mean) == pytest.approx(peer.mean(), rel=1e-10)
    assert float(px.variance) == pytest.approx(peer.var(), rel=1e-10)
    assert float(px.log_prob(px.mode)) == pytest.approx(float(px.log_prob(x).max()), abs=1e-9)


def test_a_million_keeps_its_digits_in_single_precision() -> None:
    px, x = law(1e6, torch.float32), torch.tensor([999_000.0, 1e6, 1_001_500.0])
    with mpmath.workdps(40):
        log_mean = mpmath.mpf(float(px.log_mean))
        exact = [float(v * log_mean - mpmath.exp(log_mean) - mpmath.loggamma(v + 1)) for v in x.tolist()]
    np.testing.assert_allclose(px.log_prob(x), exact, rtol=1e-6)


@EACH
def test_draws_follow_the_masses(mean: float) -> None:
    torch.manual_seed(0)
    drawn = law(mean).sample((40_000,))[:, 0]
    assert_mean(drawn, mean, math.sqrt(mean), comparisons=8, ceiling=0.1)
    if mean > 0.1:
        assert_counted_as(drawn, stats.poisson(mean).pmf(np.arange(600)), comparisons=8)


def test_gradients_are_finite_differences() -> None:
    x = torch.tensor([0.0, 3.0, 500.0]).double()
    log_mean = torch.tensor([0.3, -2.0, 5.0]).double().requires_grad_()
    assert gradcheck(lambda m: Poisson(m).log_prob(x), (log_mean,))


@pytest.mark.parametrize("log_mean", [-40.0, 0.0, 40.0])
@pytest.mark.parametrize("x", [0.0, 1.0, 1e9])
def test_extremes_are_finite_in_single_precision(log_mean: float, x: float) -> None:
    parameter = torch.tensor([log_mean], requires_grad=True)
    mass = Poisson(parameter).log_prob(torch.tensor([x]))
    (gradient,) = torch.autograd.grad(mass.sum(), parameter)
    assert bool(torch.isfinite(mass).all())
    assert bool(torch.isfinite(gradient).all())
