"""The squeezed beta against SciPy and quadrature, its draws and their gradients."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import special, stats
from torch.autograd import gradcheck

from draws import assert_follows, assert_mean
from nelbo.distributions.beta import Beta, draw_share

SHAPES = ((1.0, 1.0), (0.3, 0.7), (4.0, 2.5), (30.0, 0.05), (0.01, 0.02), (900.0, 9_000.0))
# Draws of which few round to 0 or 1, so that they are as good as continuous and have a logit.
SPREAD = pytest.mark.parametrize(("a", "b"), [shapes for shapes in SHAPES if min(shapes) > 0.1])
EACH = pytest.mark.parametrize(("a", "b"), SHAPES)


def law(a: float, b: float, squeeze: float = 1e-6) -> Beta:
    logit, log_n = (torch.tensor([math.log(v)], dtype=torch.float64) for v in (a / b, a + b))
    return Beta(logit, log_n, squeeze)


@EACH
@pytest.mark.parametrize("squeeze", [0.0, 1e-6, 0.02])
def test_the_density_is_scipys_at_the_squeezed_value(a: float, b: float, squeeze: float) -> None:
    x = torch.linspace(0.001, 0.999, 41).double()
    u = squeeze + (1 - 2 * squeeze) * x.numpy()
    expected = stats.beta(a, b).logpdf(u) + math.log1p(-2 * squeeze)
    np.testing.assert_allclose(law(a, b, squeeze).log_prob(x), expected, rtol=1e-9, atol=1e-9)


@EACH
def test_the_density_integrates_to_the_mass_within_the_squeeze(a: float, b: float) -> None:
    squeeze = 0.01
    px = law(a, b, squeeze)
    nodes, weights = np.polynomial.legendre.leggauss(2_000)
    x = torch.from_numpy((nodes + 1) / 2)
    total = float((px.log_prob(x).exp().numpy() * weights / 2).sum())
    within = stats.beta(a, b).cdf(1 - squeeze) - stats.beta(a, b).cdf(squeeze)
    assert total == pytest.approx(within, abs=1e-6)
    assert total < 1 + 1e-6


@EACH
def test_at_the_ends_the_density_keeps_its_digits(a: float, b: float) -> None:
    px, squeeze = law(a, b), mpmath.mpf(1e-6)
    with mpmath.workdps(60):
        exact_a = mpmath.exp(px.log_precision.item()) / (1 + mpmath.exp(-px.logit_mean.item()))
        exact_b = mpmath.exp(px.log_precision.item()) - exact_a
        constant = mpmath.log(1 - 2 * squeeze) - mpmath.log(mpmath.beta(exact_a, exact_b))
        near, far = mpmath.log(squeeze), mpmath.log(1 - squeeze)
        exact = [(exact_a - 1) * u + (exact_b - 1) * v + constant for u, v in ((near, far), (far, near))]
    np.testing.assert_allclose(px.log_prob(torch.tensor([0.0, 1.0]).double()), [float(v) for v in exact], rtol=1e-9)


@EACH
def test_moments_are_scipys(a: float, b: float) -> None:
    px, peer = law(a, b, squeeze=0.0), stats.beta(a, b)
    assert float(px.mean) == pytest.approx(peer.mean(), rel=1e-9)
    assert float(px.variance) == pytest.approx(peer.var(), rel=1e-8)
    assert float(law(a, b).mean) == pytest.approx(peer.mean(), abs=1e-6)


@EACH
def test_no_value_is_more_probable_than_the_mode(a: float, b: float) -> None:
    px = law(a, b)
    x = torch.linspace(0, 1, 20_001).double()
    assert float(px.log_prob(px.mode)) >= float(px.log_prob(x).max()) - 1e-9
    assert 0 <= float(px.mode) <= 1


@SPREAD
def test_draws_follow_the_distribution_function(a: float, b: float) -> None:
    torch.manual_seed(0)
    drawn = law(a, b).rsample((20_000,))[:, 0]
    assert_follows(drawn, stats.beta(a, b).cdf, comparisons=4)


@EACH
def test_draws_have_the_mean_also_where_most_round_to_an_end(a: float, b: float) -> None:
    torch.manual_seed(0)
    drawn = law(a, b).rsample((20_000,))[:, 0]
    peer = stats.beta(a, b)
    assert_mean(drawn, peer.mean(), peer.std(), comparisons=6, ceiling=0.005)


@SPREAD
def test_gradients_of_draws_have_the_moments_of_the_trigamma(a: float, b: float) -> None:
    torch.manual_seed(1)
    logit, log_n = (torch.full((20_000,), math.log(v)).double().requires_grad_() for v in (a / b, a + b))
    drawn = torch.logit(draw_share(logit, log_n, torch.Size()))
    by_mean, by_precision = torch.autograd.grad(drawn.sum(), (logit, log_n))
    # E[logit u] = psi(a) - psi(b); da / d logit m = a b / n, db / d logit m = -a b / n; da / d log n = a.
    slope_a, slope_b = special.polygamma(1, a), special.polygamma(1, b)
    expected = (slope_a + slope_b) * a * b / (a + b)
    assert_mean(by_mean, expected, float(by_mean.std()), comparisons=8, ceiling=0.1 * expected)
    expected = slope_a * a - slope_b * b
    assert_mean(by_precision, expected, float(by_precision.std()), comparisons=8, ceiling=0.1)


def test_gradients_of_the_density_are_finite_differences() -> None:
    x = torch.tensor([0.0, 0.3, 1.0]).double()
    parameters = tuple(torch.tensor(v).double().requires_grad_() for v in ([0.3, 2.0, -5.0], [-1.0, 0.5, 4.0]))
    assert gradcheck(lambda m, n: Beta(m, n).log_prob(x), parameters)


@pytest.mark.parametrize("logit", [-20.0, 0.0, 20.0])
@pytest.mark.parametrize("log_n", [-10.0, 0.0, 11.0])
@pytest.mark.parametrize("x", [0.0, 1e-30, 0.5, 1.0])
def test_extremes_are_finite_and_draws_legal_in_single_precision(logit: float, log_n: float, x: float) -> None:
    torch.manual_seed(0)
    parameters = [torch.tensor([value], requires_grad=True) for value in (logit, log_n)]
    px = Beta(*parameters)
    density = px.log_prob(torch.tensor([x]))
    gradients = torch.autograd.grad(density.sum(), parameters)
    drawn = px.sample((1_000,))
    for value in (drawn, px.mode, px.mean):
        assert bool(((value >= 0) & (value <= 1)).all())
    assert all(bool(torch.isfinite(t).all()) for t in (density, *gradients, px.variance))
