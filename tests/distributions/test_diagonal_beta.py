"""Vectors of betas, against SciPy and quadrature."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch.autograd import gradcheck

from draws import assert_follows, assert_mean
from nelbo.distributions import draw_common
from nelbo.distributions.diagonal_beta import DiagonalBeta

SHAPES = pytest.mark.parametrize(("a", "b"), [(1.0, 5.0), (0.5, 0.5), (4.0, 2.5), (60.0, 0.7), (0.6, 300.0)])


def law(a: float, b: float, rows: int = 1, dtype: torch.dtype = torch.float64) -> DiagonalBeta:
    return DiagonalBeta(*(torch.full((rows, 1), shape, dtype=dtype).log() for shape in (a, b)))


@SHAPES
def test_density_and_moments_are_scipys(a: float, b: float) -> None:
    q, peer = law(a, b), stats.beta(a, b)
    v = torch.tensor([1e-9, 0.01, 0.4, 0.9, 0.99999]).double().view(-1, 1, 1)
    np.testing.assert_allclose(q.log_prob(v)[:, 0], peer.logpdf(v[:, 0, 0].numpy()), rtol=1e-9)
    np.testing.assert_allclose(q.mean, peer.mean(), rtol=1e-9)
    np.testing.assert_allclose(q.variance, peer.var(), rtol=1e-9)


def test_the_density_of_a_vector_is_the_sum_over_sticks() -> None:
    log_a, log_b = torch.randn(2, 4, 3, dtype=torch.float64)
    v = torch.rand(5, 4, 3, dtype=torch.float64)
    expected = stats.beta(log_a.exp(), log_b.exp()).logpdf(v).sum(-1)
    np.testing.assert_allclose(DiagonalBeta(log_a, log_b).log_prob(v), expected, rtol=1e-9)


@SHAPES
def test_draws_follow_the_density_also_from_common_noise(a: float, b: float) -> None:
    q, peer = law(a, b), stats.beta(a, b)
    for drawn in (q.rsample(torch.Size((20_000,))), draw_common(q, 20_000, torch.Generator().manual_seed(1))[0]):
        assert_follows(drawn.flatten(), peer.cdf, comparisons=20)
        assert_mean(drawn.flatten(), peer.mean(), peer.std(), comparisons=20, ceiling=0.01)


@pytest.mark.parametrize(("a", "b"), [(1.0, 5.0), (0.6, 0.5), (4.0, 2.5)])
def test_the_pathwise_gradient_is_that_of_quadrature(a: float, b: float) -> None:
    """Of E[v^2], whose derivative in log a is that of the density under the integral."""

    def slope(place: int) -> float:
        def integrand(v: float) -> float:
            score = np.log(v if place == 0 else 1 - v) - special.digamma((a, b)[place]) + special.digamma(a + b)
            return float(v**2 * (a, b)[place] * score * stats.beta(a, b).pdf(v))

        return float(integrate.quad(integrand, 0, 1)[0])

    parameters = [torch.full((40_000, 1), np.log(shape), dtype=torch.float64, requires_grad=True) for shape in (a, b)]
    q = DiagonalBeta(*parameters)
    for v in (q.rsample(), q.from_noise(torch.randn(40_000, q.noise_size, dtype=torch.float64))):
        for place, gradient in enumerate(torch.autograd.grad(v.square().sum(), parameters)):
            assert_mean(gradient[:, 0], slope(place), float(gradient.std()), comparisons=12, ceiling=0.005)


def test_gradients_of_the_density_are_finite_differences() -> None:
    v = torch.tensor([[0.1, 0.5], [0.7, 0.9]]).double().requires_grad_()
    shapes = [
        torch.tensor([[0.3, -0.5]]).double().requires_grad_(),
        torch.tensor([[-0.2, 0.8]]).double().requires_grad_(),
    ]
    assert gradcheck(lambda v, *p: DiagonalBeta(*p).log_prob(v), (v, *shapes))


@pytest.mark.parametrize("log_a", [-0.7, 0.0, 8.0])
@pytest.mark.parametrize("log_b", [-0.7, 0.0, 8.0])
def test_extreme_shapes_stay_inside_in_single_precision(log_a: float, log_b: float) -> None:
    parameters = [torch.full((2_000, 1), value, requires_grad=True) for value in (log_a, log_b)]
    q = DiagonalBeta(*parameters)
    for v in (q.rsample(), torch.zeros(2_000, 1), torch.ones(2_000, 1)):
        log_q = q.log_prob(v)
        gradients = torch.autograd.grad(log_q.sum(), parameters, retain_graph=True)
        assert all(bool(torch.isfinite(part).all()) for part in (v, log_q, *gradients))
    assert bool(((q.rsample() > 0) & (q.rsample() < 1)).all())


def test_a_stopped_density_has_no_gradient_of_the_shapes() -> None:
    q = DiagonalBeta(torch.zeros(2, 3, requires_grad=True), torch.zeros(2, 3))
    assert not q.stopped().log_prob(torch.rand(2, 3)).requires_grad
