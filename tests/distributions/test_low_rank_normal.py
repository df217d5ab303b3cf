"""The Gaussian with a low-rank and a diagonal part of its covariance, against SciPy and mpmath."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions import DiagonalNormal, draw_common
from nelbo.distributions.low_rank_normal import LowRankNormal


def parameters(rows: int = 4, dim: int = 5, rank: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    make = {"generator": generator, "dtype": torch.float64}
    return (
        torch.randn(rows, dim, **make),  # type: ignore[call-overload]
        torch.randn(rows, dim, **make),  # type: ignore[call-overload]
        torch.randn(rows, dim, rank, **make),  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("rank", [1, 2, 7])
def test_density_entropy_and_variance_are_those_of_the_whole_covariance(rank: int) -> None:
    q = LowRankNormal(*parameters(rank=rank))
    z = torch.randn(6, 4, 5, dtype=torch.float64)
    for row in range(4):
        peer = multivariate_normal(q.loc[row].numpy(), q.covariance[row].numpy())
        np.testing.assert_allclose(q.log_prob(z)[:, row], peer.logpdf(z[:, row].numpy()), rtol=1e-9)
        assert float(q.entropy()[row]) == pytest.approx(peer.entropy(), rel=1e-9)
    torch.testing.assert_close(q.variance, torch.diagonal(q.covariance, dim1=-2, dim2=-1))


def test_without_a_factor_it_is_diagonal() -> None:
    loc, log_variance, factor = parameters()
    z = torch.randn(3, 4, 5, dtype=torch.float64)
    found = LowRankNormal(loc, log_variance, torch.zeros_like(factor)).log_prob(z)
    torch.testing.assert_close(found, DiagonalNormal(loc, log_variance).log_prob(z))


def test_draws_have_the_mean_and_covariance() -> None:
    torch.manual_seed(0)
    q = LowRankNormal(*parameters(rows=1, dim=3))
    drawn = q.rsample((40_000,))[:, 0]
    error = (q.variance[0] / len(drawn)).sqrt()
    assert bool(((drawn.mean(0) - q.loc[0]).abs() < 4.5 * error).all())
    spread = torch.outer(q.variance[0], q.variance[0]).sqrt() * (2 / len(drawn)) ** 0.5
    assert bool(((drawn.T.cov() - q.covariance[0]).abs() < 4.5 * spread).all())


def test_rows_share_their_noise_and_nothing_else() -> None:
    parts = parameters()
    z, log_q = draw_common(LowRankNormal(*parts), 5, torch.Generator().manual_seed(1))
    alone, log_alone = draw_common(LowRankNormal(*(p[1:2] for p in parts)), 5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(alone[:, 0], z[:, 1])
    torch.testing.assert_close(log_alone[:, 0], log_q[:, 1])


def test_gradients_are_finite_differences() -> None:
    parts = tuple(p.requires_grad_() for p in parameters(rows=2, dim=3))
    z = torch.randn(2, 3, dtype=torch.float64)
    noise = torch.randn(4, 1, 5, dtype=torch.float64)
    assert gradcheck(lambda *p: LowRankNormal(*p).log_prob(z), parts)
    assert gradcheck(lambda *p: LowRankNormal(*p).from_noise(noise), parts)
    assert gradcheck(lambda *p: LowRankNormal(*p).entropy(), parts)


@pytest.mark.parametrize("size", [1e-4, 1.0, 3.0])
@pytest.mark.parametrize("log_variance", [-14.0, 0.0, 10.0])
def test_the_quadratic_form_keeps_its_digits_in_single_precision(size: float, log_variance: float) -> None:
    """Two nearly parallel factors over a tiny diagonal: the difference that Woodbury writes is all rounding."""
    generator = torch.Generator().manual_seed(0)
    factor = size * torch.randn(1, 4, 1, generator=generator) * torch.tensor([1.0, 1.001])
    parts = (torch.zeros(1, 4), torch.full((1, 4), log_variance), factor)
    for p in parts:
        p.requires_grad_()
    q = LowRankNormal(*parts)
    torch.manual_seed(0)
    z = q.rsample((3,)).detach()
    log_q = q.log_prob(z)
    with mpmath.workdps(60):
        w = mpmath.matrix(factor[0].tolist())
        sigma = w * w.T + mpmath.exp(mpmath.mpf(log_variance)) * mpmath.eye(4)
        for row in range(3):
            x = mpmath.matrix(z[row, 0].tolist())
            square = (x.T * mpmath.inverse(sigma) * x)[0]
            expected = -0.5 * (square + mpmath.log(mpmath.det(sigma)) + 4 * mpmath.log(2 * mpmath.pi))
            assert float(log_q[row].detach()) == pytest.approx(float(expected), rel=1e-3, abs=5e-2)
    assert all(bool(torch.isfinite(g).all()) for g in torch.autograd.grad(log_q.sum(), parts))


def test_a_stopped_density_is_the_same_without_its_gradient() -> None:
    q = LowRankNormal(*(p.requires_grad_() for p in parameters()))
    z = torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(q.stopped().log_prob(z), q.log_prob(z))
    assert not q.stopped().log_prob(z).requires_grad
