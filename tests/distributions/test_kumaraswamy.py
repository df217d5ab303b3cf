"""Kumaraswamy's distribution against quadrature, the beta where they agree, and its own inverse CDF."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions.kumaraswamy import Kumaraswamy

SHAPES = pytest.mark.parametrize(("a", "b"), [(1.0, 5.0), (0.3, 0.7), (4.0, 2.5), (30.0, 0.05), (0.05, 30.0)])


def law(a: float, b: float, dtype: torch.dtype = torch.float64) -> Kumaraswamy:
    return Kumaraswamy(torch.tensor([math.log(a)], dtype=dtype), torch.tensor([math.log(b)], dtype=dtype))


def density(a: float, b: float, v: float) -> mpmath.mpf:
    return a * b * mpmath.power(v, a - 1) * mpmath.power(1 - mpmath.power(v, a), b - 1)


def cdf(v: np.ndarray, a: float, b: float) -> np.ndarray:
    return -np.expm1(b * np.log1p(-(v**a)))


@SHAPES
def test_the_density_is_the_formula_in_many_digits(a: float, b: float) -> None:
    values = torch.tensor([1e-6, 0.01, 0.3, 0.5, 0.9, 0.999]).double().unsqueeze(-1)
    with mpmath.workdps(60):
        expected = [float(mpmath.log(density(mpmath.mpf(a), mpmath.mpf(b), mpmath.mpf(float(v))))) for v in values]
    np.testing.assert_allclose(law(a, b).log_prob(values), expected, rtol=1e-9, atol=1e-9)


@SHAPES
def test_moments_are_those_of_quadrature(a: float, b: float) -> None:
    with mpmath.workdps(30):
        # In u = F(v) the integrand is bounded, whatever the density does at the ends.
        moments = [
            float(mpmath.quad(lambda u, n=n: mpmath.power(1 - mpmath.power(u, 1 / b), n / a), [0, 0.5, 1]))
            for n in (1, 2)
        ]
    found = law(a, b)
    assert float(found.mean) == pytest.approx(moments[0], rel=1e-6)
    assert float(found.variance) == pytest.approx(moments[1] - moments[0] ** 2, rel=1e-5, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [(1.0, 5.0), (1.0, 0.4), (3.0, 1.0), (0.5, 1.0)])
def test_with_a_shape_of_one_it_is_a_beta(a: float, b: float) -> None:
    values = torch.linspace(0.01, 0.99, 50).double().unsqueeze(-1)
    np.testing.assert_allclose(
        law(a, b).log_prob(values), stats.beta(a, b).logpdf(values[:, 0]), rtol=1e-10, atol=1e-10
    )


@SHAPES
def test_draws_follow_the_distribution_function(a: float, b: float) -> None:
    torch.manual_seed(0)
    drawn = law(a, b).rsample((20_000,))[:, 0]
    edge = 1e-12
    low, high = (float(value) for value in cdf(np.array([edge, 1 - edge]), a, b))
    inside = drawn[(drawn > edge) & (drawn < 1 - edge)]
    # Draws beyond the edges may be clipped: they are counted, and the rest follows the distribution between them.
    share = high - low
    assert abs(len(inside) - 20_000 * share) <= 4.5 * (20_000 * share * (1 - share)) ** 0.5
    result = stats.kstest(inside.numpy(), lambda v: (cdf(v, a, b) - low) / share)
    assert result.pvalue > 1e-4 / 5


def test_common_noise_gives_the_quantiles() -> None:
    noise = torch.tensor([[-1.0], [0.0], [2.0]]).double()
    a, b = 2.0, 3.0
    u = torch.special.ndtr(noise)
    torch.testing.assert_close(law(a, b).from_noise(noise), (1 - u ** (1 / b)) ** (1 / a))


def test_gradients_of_draws_and_densities_are_those_of_finite_differences() -> None:
    u = torch.tensor([[0.1, 0.5], [0.7, 0.9]]).double()
    shapes = (
        torch.tensor([[0.3, -0.5]]).double().requires_grad_(),
        torch.tensor([[-0.2, 0.8]]).double().requires_grad_(),
    )

    def draw(log_a: Tensor, log_b: Tensor) -> Tensor:
        return Kumaraswamy(log_a, log_b).from_noise(torch.special.ndtri(u))

    def score(log_a: Tensor, log_b: Tensor) -> Tensor:
        return Kumaraswamy(log_a, log_b).log_prob(u)

    assert gradcheck(draw, shapes)
    assert gradcheck(score, shapes)


@pytest.mark.parametrize("log_a", [-7.0, 0.0, 4.0])
@pytest.mark.parametrize("log_b", [-7.0, 0.0, 4.0])
@pytest.mark.parametrize("noise", [-8.0, 0.0, 8.0])
def test_extreme_shapes_and_noise_stay_inside_in_single_precision(log_a: float, log_b: float, noise: float) -> None:
    a, b = (torch.full((1,), value, requires_grad=True) for value in (log_a, log_b))
    q = Kumaraswamy(a, b)
    drawn = q.from_noise(torch.full((1,), noise))
    assert bool(((drawn > 0) & (drawn < 1)).all())
    log_density = q.log_prob(drawn)
    gradients = torch.autograd.grad(log_density.sum(), (a, b))
    assert bool(torch.isfinite(log_density).all())
    assert all(bool(torch.isfinite(g).all()) for g in gradients)


@pytest.mark.parametrize("a", [0.1, 1.0, 3.0, 50.0])
@pytest.mark.parametrize("b", [0.2, 1.0, 5.0, 50.0])
def test_means_of_logarithms_are_those_of_adaptive_quadrature(a: float, b: float) -> None:
    """In t = -log u, u the quantile: 1 - v^a = exp(-t / b), t ~ Exp(1)."""

    def log_v(t: float) -> float:
        return math.log1p(-math.exp(-t / b)) / a if t > b else math.log(-math.expm1(-t / b)) / a

    def mean(f: Callable[[float], float]) -> float:
        pieces = itertools.pairwise([1e-12, 1e-6, 1e-3, 1.0, 10.0, 100.0])
        return sum(integrate.quad(lambda t: f(t) * math.exp(-t), *piece)[0] for piece in pieces)

    expected = mean(log_v), mean(lambda t: math.log(-math.expm1(log_v(t))))
    np.testing.assert_allclose(law(a, b).mean_log().item(), expected[0], rtol=1e-6)
    np.testing.assert_allclose(law(a, b).mean_log1m().item(), expected[1], rtol=1e-5)
