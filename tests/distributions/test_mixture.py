"""The mixture of Gaussians, against SciPy's components and torch's mixture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import kstest, norm
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from nelbo.distributions.mixture import NormalMixture


def law(components: int = 4, dim: int = 3, seed: int = 0) -> NormalMixture:
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(components, generator=generator, dtype=torch.float64)
    loc, log_variance = torch.randn(2, components, dim, generator=generator, dtype=torch.float64)
    return NormalMixture(weights, 2 * loc, log_variance)


def test_the_density_is_the_weighted_sum_of_scipys() -> None:
    p, z = law(), 3 * torch.randn(5, 6, 3, dtype=torch.float64)
    each = [
        float(p.log_weights[c])
        + norm(p.loc[c].numpy(), np.exp(0.5 * p.log_variance[c].numpy())).logpdf(z.numpy()).sum(-1)
        for c in range(4)
    ]
    np.testing.assert_allclose(p.log_components(z), np.moveaxis(np.array(each), 0, -1), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(p.log_prob(z), logsumexp(each, axis=0), rtol=1e-10)


def test_moments_are_torchs() -> None:
    p = law()
    parts = Independent(Normal(p.loc, torch.exp(0.5 * p.log_variance)), 1)
    peer = MixtureSameFamily(Categorical(logits=p.log_weights), parts)
    torch.testing.assert_close(p.mean, peer.mean)
    torch.testing.assert_close(p.variance, peer.variance)


def test_weights_need_not_be_normalised() -> None:
    p, z = law(), torch.randn(5, 3, dtype=torch.float64)
    shifted = NormalMixture(p.log_weights + 7, p.loc, p.log_variance)
    torch.testing.assert_close(shifted.log_prob(z), p.log_prob(z))


def test_draws_follow_the_density() -> None:
    torch.manual_seed(0)
    p = law(dim=1)
    drawn = p.sample((20_000,))[:, 0].numpy()

    def distribution_function(x: np.ndarray) -> np.ndarray:
        parts = norm(p.loc.numpy().T, np.exp(0.5 * p.log_variance.numpy()).T).cdf(x[:, None])
        return np.asarray(parts @ p.log_weights.exp().numpy())

    assert kstest(drawn, distribution_function).pvalue > 1e-4
    assert p.sample((2, 5)).shape == (2, 5, 1)


def test_gradients_are_finite_differences() -> None:
    p, z = law(components=2, dim=2), torch.randn(3, 2, dtype=torch.float64)

    def score(weights: Tensor, loc: Tensor, log_variance: Tensor) -> Tensor:
        return NormalMixture(weights, loc, log_variance).log_prob(z)

    assert gradcheck(score, tuple(t.requires_grad_() for t in (p.log_weights, p.loc, p.log_variance)))


@pytest.mark.parametrize("away", [0.0, 1e3])
def test_matrix_products_keep_their_digits_in_single_precision(away: float) -> None:
    """Far from the origin the squares cancel, were it not for the move to the middle of the locations."""
    exact, z = law(components=50, dim=40), 2 * torch.randn(200, 40, dtype=torch.float64)
    moved = NormalMixture(exact.log_weights.float(), (exact.loc + away).float(), exact.log_variance.float())
    found = moved.log_prob((z + away).float()).double()
    expected = NormalMixture(exact.log_weights, exact.loc + away, exact.log_variance).log_prob(z + away)
    assert float((found - expected).abs().max()) < (1e-3 if away == 0 else 0.3)


def test_narrow_components_keep_their_digits_where_no_gradient_is_wanted() -> None:
    torch.manual_seed(0)
    loc = torch.randn(100, 20)
    p = NormalMixture(torch.zeros(100), loc, torch.full((100, 20), -14.0))
    z = loc[:50] + math.exp(-7) * torch.randn(50, 20)
    expected = NormalMixture(p.log_weights.double(), loc.double(), p.log_variance.double()).log_prob(z.double())
    with torch.no_grad():
        torch.testing.assert_close(p.log_prob(z).double(), expected, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("log_variance", [-14.0, 14.0])
def test_extreme_components_give_finite_densities_and_gradients(log_variance: float) -> None:
    loc = torch.zeros(3, 2, requires_grad=True)
    p = NormalMixture(torch.tensor([0.0, -100.0, 100.0]), loc, torch.full((3, 2), log_variance))
    density = p.log_prob(torch.tensor([[0.0, 10.0]]))
    (gradient,) = torch.autograd.grad(density.sum(), loc)
    assert bool(torch.isfinite(density).all())
    assert bool(torch.isfinite(gradient).all())
