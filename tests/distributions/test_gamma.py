"""The gamma against SciPy, its draws against the density, their gradients against the digamma's."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import special, stats
from torch.autograd import gradcheck

from draws import assert_follows, assert_mean
from nelbo.distributions.gamma import NOISES, Gamma, log_standard_gamma, log_standard_gamma_from_noise

CONCENTRATIONS = (0.02, 0.7, 1.0, 5.0, 20_000.0)
PARAMETERS = pytest.mark.parametrize("mean", [1e-3, 40.0])
EACH = pytest.mark.parametrize("k", CONCENTRATIONS)


def law(mean: float, k: float, dtype: torch.dtype = torch.float64) -> Gamma:
    return Gamma(torch.tensor([math.log(mean)], dtype=dtype), torch.tensor([math.log(k)], dtype=dtype))


@PARAMETERS
@EACH
def test_density_and_moments_are_scipys(mean: float, k: float) -> None:
    px, peer = law(mean, k), stats.gamma(k, scale=mean / k)
    x = mean * torch.logspace(-4, 2, 30, dtype=torch.float64)
    np.testing.assert_allclose(px.log_prob(x), peer.logpdf(x.numpy()), rtol=1e-9, atol=1e-8)
    assert float(px.mean) == pytest.approx(peer.mean(), rel=1e-9)
    assert float(px.variance) == pytest.approx(peer.var(), rel=1e-9)


def test_a_concentration_of_one_is_an_exponential() -> None:
    x = torch.linspace(0.01, 300, 50, dtype=torch.float64)
    px = Gamma(torch.tensor([math.log(40.0)], dtype=torch.float64), torch.zeros((), dtype=torch.float64))
    np.testing.assert_allclose(px.log_prob(x), stats.expon(scale=40.0).logpdf(x.numpy()), rtol=1e-10)


def test_single_precision_keeps_its_digits_at_a_large_concentration() -> None:
    px, x = law(1e6, 2e4, torch.float32), torch.tensor([0.97e6, 1e6, 1.02e6])
    with mpmath.workdps(40):
        m, k = (mpmath.exp(mpmath.mpf(float(v))) for v in (px.log_mean, px.log_concentration))
        exact = [
            float(k * mpmath.log(k * v / m) - k * v / m - mpmath.loggamma(k) - mpmath.log(v))
            for v in (mpmath.mpf(float(each)) for each in x)
        ]
    np.testing.assert_allclose(px.log_prob(x), exact, rtol=1e-6, atol=1e-6)


@EACH
def test_the_mode_is_the_peak_or_the_smallest_positive_number(k: float) -> None:
    px = law(40.0, k)
    mode = px.mode
    assert float(mode) > 0
    steps = mode * torch.tensor([0.999, 1.0, 1.001]).double()
    if k > 1:
        assert px.log_prob(steps).argmax() == 1
    else:
        assert float(mode) == torch.finfo(torch.float64).tiny
        others = px.log_prob(torch.logspace(-300, 3, 50, dtype=torch.float64))
        assert float(px.log_prob(mode)) >= float(others.max()) - 1e-12


@EACH
def test_draws_follow_the_density(k: float) -> None:
    torch.manual_seed(0)
    drawn = law(40.0, k).rsample((20_000,))[:, 0]
    peer = stats.gamma(k, scale=40.0 / k)
    assert_follows(drawn, peer.cdf, comparisons=10)
    assert_mean(drawn, 40.0, peer.std(), comparisons=10, ceiling=2.5)


@EACH
def test_logarithms_of_draws_and_their_gradients_have_the_moments_of_the_digamma(k: float) -> None:
    torch.manual_seed(1)
    log_k = torch.full((20_000,), math.log(k), dtype=torch.float64, requires_grad=True)
    drawn = log_standard_gamma(log_k)
    assert_mean(drawn.detach(), special.digamma(k), special.polygamma(1, k) ** 0.5, comparisons=10, ceiling=0.5)
    (gradient,) = torch.autograd.grad(drawn.sum(), log_k)
    # d E[log g] / d log k = k psi'(k)
    assert_mean(gradient, k * special.polygamma(1, k), float(gradient.std()), comparisons=10, ceiling=0.5)


@EACH
def test_draws_from_noise_follow_the_same_law_with_the_same_gradient(k: float) -> None:
    log_k = torch.full((20_000,), math.log(k), dtype=torch.float64, requires_grad=True)
    drawn = log_standard_gamma_from_noise(log_k, torch.randn(20_000 * NOISES, dtype=torch.float64))
    assert_follows(drawn.detach(), stats.loggamma(k).cdf, comparisons=5)
    (gradient,) = torch.autograd.grad(drawn.sum(), log_k)
    # d E[log g] / d log k = k psi'(k)
    assert_mean(gradient, k * special.polygamma(1, k), float(gradient.std()), comparisons=5, ceiling=0.5)


def test_gradients_of_the_density_are_finite_differences() -> None:
    x = torch.tensor([1e-3, 3.0, 500.0]).double()
    parameters = tuple(torch.tensor(v).double().requires_grad_() for v in ([0.3, 2.0, 5.0], [-1.0, 0.5, 4.0]))
    assert gradcheck(lambda m, k: Gamma(m, k).log_prob(x), parameters)


@pytest.mark.parametrize("log_mean", [-30.0, 0.0, 30.0])
@pytest.mark.parametrize("log_k", [-10.0, 0.0, 10.0])
@pytest.mark.parametrize("x", [torch.finfo(torch.float32).tiny, 1.0, 1e15])
def test_extremes_are_finite_and_draws_legal_in_single_precision(log_mean: float, log_k: float, x: float) -> None:
    torch.manual_seed(0)
    parameters = [torch.tensor([value], requires_grad=True) for value in (log_mean, log_k)]
    px = Gamma(*parameters)
    density = px.log_prob(torch.tensor([x]))
    gradients = torch.autograd.grad(density.sum(), parameters)
    drawn = px.sample((1_000,))
    assert all(bool(torch.isfinite(t).all()) for t in (density, *gradients, drawn, px.mode))
    assert bool((drawn > 0).all())
    assert bool((px.mode > 0).all())
