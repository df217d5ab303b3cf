"""The marginal of a latent-variable model: an estimate without bias, below on average, exact where q is."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions.latent_marginal import LatentMarginal
from nelbo.distributions.normal import DiagonalNormal, StandardNormal

LOG_S2 = math.log(0.3)


def marginal(samples: int, fresh: bool = False, width: float = 0.0, bend: float = 1.5) -> LatentMarginal:
    """z = sin(bend u) + u / 2 + noise, with a crude q(u given z) of a log-variance `width`."""
    like = torch.zeros((), dtype=torch.float64)

    def encode(z: Tensor) -> DiagonalNormal:
        return DiagonalNormal(0.5 * z, torch.full_like(z, width))

    def decode(u: Tensor) -> DiagonalNormal:
        return DiagonalNormal(torch.sin(bend * u) + 0.5 * u, torch.full_like(u, LOG_S2))

    return LatentMarginal(StandardNormal(1, like), encode, decode, 1, samples, fresh)


def density(z: float, bend: float = 1.5) -> float:
    """p(z) by quadrature over u."""

    def joint(u: float) -> float:
        return float(stats.norm.pdf(u) * stats.norm.pdf(z, np.sin(bend * u) + 0.5 * u, math.sqrt(0.3)))

    return float(integrate.quad(joint, -9, 9, limit=200)[0])


POINTS = [-2.5, -0.4, 0.0, 1.0, 2.2]
Z = torch.tensor(POINTS, dtype=torch.float64).unsqueeze(-1)
TRUE = np.log([density(z) for z in POINTS])


@pytest.mark.parametrize("samples", [1, 4])
def test_the_estimate_of_the_density_has_no_bias_and_that_of_its_logarithm_a_negative_one(samples: int) -> None:
    repeats = 40_000
    found = marginal(samples, fresh=True).log_prob(Z.expand(repeats, *Z.shape)).numpy() - TRUE
    ratio = np.exp(found)
    error = ratio.std(0) / math.sqrt(repeats)
    assert bool((error < 0.05).all())
    assert bool((np.abs(ratio.mean(0) - 1) < 4.5 * error).all())
    assert bool((found.mean(0) < -4.5 * found.std(0) / math.sqrt(repeats)).all())


@pytest.mark.parametrize("fresh", [True, False])
def test_many_samples_give_the_quadrature(fresh: bool) -> None:
    np.testing.assert_allclose(marginal(40_000, fresh).log_prob(Z), TRUE, atol=0.03)


def test_the_density_integrates_to_1() -> None:
    torch.manual_seed(0)
    grid = torch.linspace(-9, 9, 601, dtype=torch.float64)
    mass = torch.trapezoid(marginal(8_000, width=1.0).log_prob(grid.unsqueeze(-1)).exp(), grid)
    assert float(mass) == pytest.approx(1.0, abs=0.02)


def test_an_exact_posterior_makes_one_sample_exact() -> None:
    # z = w u + noise in one dimension: q(u given z) is Gaussian with precision 1 + w^2 / s^2.
    w, s2 = 0.8, 0.25
    like = torch.zeros((), dtype=torch.float64)
    precision = 1 + w**2 / s2

    def encode(z: Tensor) -> DiagonalNormal:
        return DiagonalNormal(w * z / s2 / precision, torch.full_like(z, -math.log(precision)))

    def decode(u: Tensor) -> DiagonalNormal:
        return DiagonalNormal(w * u, torch.full_like(u, math.log(s2)))

    found = LatentMarginal(StandardNormal(1, like), encode, decode, 1, 1, fresh=True).log_prob(Z)
    np.testing.assert_allclose(found, stats.norm(0, math.sqrt(w**2 + s2)).logpdf(POINTS), rtol=1e-10)


def test_draws_follow_the_law_by_quadrature() -> None:
    drawn = marginal(1).sample((4_000,))
    assert drawn.shape == (4_000, 1)
    u = np.linspace(-9, 9, 2_001)
    mean = np.sin(1.5 * u) + 0.5 * u

    def cumulative(z: np.ndarray) -> np.ndarray:
        inner = stats.norm.pdf(u) * stats.norm.cdf((np.atleast_1d(z)[:, None] - mean) / math.sqrt(0.3))
        return np.asarray(integrate.trapezoid(inner, u, axis=1))

    assert stats.kstest(drawn[:, 0].numpy(), cumulative).pvalue > 1e-4
    assert marginal(1).sample().shape == (1,)
    assert marginal(1).sample((2, 3)).shape == (2, 3, 1)


def test_a_row_is_scored_without_its_neighbours_and_draws_have_noise_of_their_own() -> None:
    law, z = marginal(3), Z.expand(4, *Z.shape).contiguous()
    together = law.log_prob(z)
    assert together.equal(law.log_prob(z))
    torch.testing.assert_close(together[:, 1:2], law.log_prob(z[:, 1:2]), rtol=1e-12, atol=0)
    assert len(set(together[:, 0].tolist())) == 4
    before = torch.get_rng_state()
    law.log_prob(z)
    assert before.equal(torch.get_rng_state())
    torch.testing.assert_close(law.log_prob(Z[0]), law.log_prob(Z[:1])[0], rtol=1e-12, atol=0)


def test_gradients_are_finite_differences() -> None:
    z = Z.clone().requires_grad_()
    assert gradcheck(lambda each: marginal(3).log_prob(each), (z,))


def test_extremes_are_finite_in_single_precision() -> None:
    for width in (-14.0, 10.0):
        z = torch.tensor([[-1e3], [0.0], [1e3]], requires_grad=True)
        found = marginal(5, width=width).log_prob(z)
        (gradient,) = torch.autograd.grad(found.sum(), z)
        assert bool(torch.isfinite(found).all())
        assert bool(torch.isfinite(gradient).all())
