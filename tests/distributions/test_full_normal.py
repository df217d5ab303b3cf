"""The Gaussian with a full covariance, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import MultivariateNormal, kl_divergence

from nelbo.distributions.full_normal import FullNormal
from nelbo.distributions.kl import rate
from nelbo.distributions.normal import StandardNormal


def law(rows: int = 4, dim: int = 3, seed: int = 0) -> FullNormal:
    generator = torch.Generator().manual_seed(seed)
    loc, raw = (torch.randn(rows, dim, *more, generator=generator, dtype=torch.float64) for more in ((), (dim,)))
    return FullNormal(loc, raw.tril(-1) + torch.diag_embed(torch.diagonal(raw, dim1=-2, dim2=-1).exp()))


def test_density_and_entropy_are_scipys() -> None:
    q = law()
    z = torch.randn(6, 4, 3, dtype=torch.float64)
    for row in range(4):
        peer = multivariate_normal(q.loc[row].numpy(), q.covariance[row].numpy())
        np.testing.assert_allclose(q.log_prob(z)[:, row], peer.logpdf(z[:, row].numpy()), rtol=1e-10)
        assert float(q.entropy()[row]) == pytest.approx(peer.entropy(), rel=1e-10)
    torch.testing.assert_close(q.variance, torch.diagonal(q.covariance, dim1=-2, dim2=-1))


def test_draws_have_the_mean_and_covariance() -> None:
    torch.manual_seed(0)
    q = law(rows=1)
    drawn = q.rsample((40_000,))[:, 0]
    error = (q.variance[0] / len(drawn)).sqrt()
    assert bool(((drawn.mean(0) - q.loc[0]).abs() < 4.5 * error).all())
    spread = torch.outer(q.variance[0], q.variance[0]).sqrt() * (2 / len(drawn)) ** 0.5
    assert bool(((drawn.T.cov() - q.covariance[0]).abs() < 4.5 * spread).all())


def test_the_rate_sums_to_torchs_divergence_from_the_standard_normal() -> None:
    q = law()
    found = rate(q, StandardNormal(3, q.loc))
    assert found is not None
    assert found.shape == (3, 4)
    eye = torch.eye(3, dtype=torch.float64)
    peer = MultivariateNormal(q.loc, scale_tril=q.factor)
    expected = kl_divergence(peer, MultivariateNormal(torch.zeros(3, dtype=torch.float64), scale_tril=eye))
    torch.testing.assert_close(found.sum(0), expected)


def test_common_noise_is_shared_by_all_rows() -> None:
    q, noise = law(), torch.randn(5, 1, 3, dtype=torch.float64)
    expected = q.loc + torch.einsum("bij,kj->kbi", q.factor, noise[:, 0])
    torch.testing.assert_close(q.from_noise(noise), expected)


def test_gradients_are_finite_differences() -> None:
    q = law(rows=2)
    z = torch.randn(2, 3, dtype=torch.float64)

    def score(loc: Tensor, factor: Tensor) -> Tensor:
        return FullNormal(loc, factor.tril()).log_prob(z)

    assert gradcheck(score, (q.loc.requires_grad_(), q.factor.requires_grad_()))


def test_a_diagonal_factor_is_a_diagonal_normal() -> None:
    from nelbo.distributions import DiagonalNormal

    loc, log_variance, z = torch.randn(3, 4, 5, dtype=torch.float64)
    full = FullNormal(loc, torch.diag_embed(torch.exp(0.5 * log_variance)))
    torch.testing.assert_close(full.log_prob(z), DiagonalNormal(loc, log_variance).log_prob(z))


@pytest.mark.parametrize("log_scale", [-7.0, 10.0])
def test_extreme_scales_give_finite_densities_in_single_precision(log_scale: float) -> None:
    factor = torch.eye(3) * torch.exp(torch.tensor(log_scale)) + 100.0 * torch.ones(3, 3).tril(-1)
    q = FullNormal(torch.zeros(1, 3), factor.unsqueeze(0))
    assert bool(torch.isfinite(q.log_prob(q.rsample((10,)))).all())
