"""The continuous Bernoulli against quadrature of its unnormalised density lambda^x (1 - lambda)^(1-x)."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import kstest
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions import ContinuousBernoulli

LOGITS = [0.0, 1e-8, -1e-8, 1e-3, -1e-3, 0.0999, 0.1, -0.1, 0.1001, -0.3, 1.0, -2.5, 8.0, 30.0, -30.0]
EVERY = pytest.mark.parametrize("logit", LOGITS)


def at(logit: float) -> ContinuousBernoulli:
    return ContinuousBernoulli(torch.tensor(logit, dtype=torch.float64))


def moment(logit: float, power: int) -> float:
    """Integral of x^power exp(l x) over [0, 1] in 30 digits."""
    with mpmath.workdps(30):
        steep = max(1, int(abs(logit)))
        places = [mpmath.mpf(i) / (4 * steep) for i in range(4 * steep + 1)]
        return float(mpmath.quad(lambda x: x**power * mpmath.exp(mpmath.mpf(logit) * x), places))


@EVERY
def test_the_density_integrates_to_one(logit: float) -> None:
    px = at(logit)
    total, _ = quad(
        lambda x: float(px.log_prob(torch.tensor(x, dtype=torch.float64)).exp()), 0, 1, epsabs=1e-12, limit=200
    )
    assert total == pytest.approx(1, abs=1e-9)


@EVERY
def test_the_density_is_the_normalised_power_law(logit: float) -> None:
    x = np.linspace(0, 1, 11)
    expected = logit * x - math.log(moment(logit, 0))
    np.testing.assert_allclose(at(logit).log_prob(torch.from_numpy(x)), expected, atol=1e-9)


@EVERY
def test_mean_and_variance_are_those_of_quadrature(logit: float) -> None:
    first, second = (moment(logit, k) / moment(logit, 0) for k in (1, 2))
    assert float(at(logit).mean) == pytest.approx(first, abs=1e-9)
    assert float(at(logit).variance) == pytest.approx(second - first**2, rel=1e-6)


@EVERY
def test_the_mode_is_the_end_with_the_higher_density(logit: float) -> None:
    px = at(logit)
    ends = px.log_prob(torch.tensor([0.0, 1.0]).double())
    assert float(px.log_prob(px.mode)) == pytest.approx(float(ends.max()), abs=1e-12)


def cdf(x: Tensor, logit: float) -> Tensor:
    return x if logit == 0 else torch.expm1(logit * x) / math.expm1(logit)


@EVERY
def test_draws_are_the_inverse_of_the_distribution_function(logit: float) -> None:
    torch.manual_seed(0)
    u = torch.rand(1000, dtype=torch.float64)
    torch.manual_seed(0)
    x = at(logit).rsample((1000,))
    assert bool(((x >= 0) & (x <= 1)).all())
    reached = cdf(x, logit)
    # Above 0 the draw may be the mirror image, which follows the same law.
    mirrored = 1 - u if logit > 0 and abs(logit) >= 0.1 else u
    torch.testing.assert_close(reached, mirrored, rtol=0, atol=2e-7)


@EVERY
def test_draws_follow_the_density(logit: float) -> None:
    # Kolmogorov-Smirnov at 1e-4 on 20,000 draws.
    torch.manual_seed(0)
    drawn = at(logit).sample((20_000,)).numpy()
    assert kstest(drawn, lambda x: cdf(torch.from_numpy(np.asarray(x)), logit).numpy()).pvalue > 1e-4


def test_gradients_are_finite_differences() -> None:
    logits = torch.tensor([-30.0, -2.0, -0.05, 0.02, 0.3, 5.0, 30.0]).double().requires_grad_()
    x = torch.rand(7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    assert gradcheck(lambda t, v: ContinuousBernoulli(t).log_prob(v), (logits, x))
    assert gradcheck(lambda t: ContinuousBernoulli(t).mean, (logits,))
    assert gradcheck(lambda t: ContinuousBernoulli(t).variance, (logits,))

    def drawn(t: Tensor) -> Tensor:
        torch.manual_seed(0)
        return ContinuousBernoulli(t).rsample()

    assert gradcheck(drawn, (logits,))


@pytest.mark.parametrize("logit", [-1e4, 1e4, -100.0, 100.0, 0.0, 1e-6, 0.0999, 0.1])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_extreme_logits_give_finite_densities_moments_and_gradients_in_single_precision(
    logit: float, value: float
) -> None:
    leaf = torch.tensor([logit], requires_grad=True)
    px = ContinuousBernoulli(leaf)
    for result in (px.log_prob(torch.tensor([value])), px.mean, px.variance, px.rsample()):
        (gradient,) = torch.autograd.grad(result.sum(), leaf, retain_graph=True)
        assert bool(torch.isfinite(result).all())
        assert bool(torch.isfinite(gradient).all())


@EVERY
def test_single_precision_agrees_with_double(logit: float) -> None:
    single = ContinuousBernoulli(torch.tensor(logit))
    x = torch.linspace(0, 1, 5)
    torch.testing.assert_close(
        single.log_prob(x).double(), at(float(torch.tensor(logit))).log_prob(x.double()), rtol=1e-6, atol=2e-6
    )
    assert float(single.mean) == pytest.approx(float(at(logit).mean), abs=2e-6)
    assert float(single.variance) == pytest.approx(float(at(logit).variance), abs=2e-5)
