"""Vectors of Laplace, logistic, Student's t, Cauchy and Gumbel latents, against SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions import draw_common
from nelbo.distributions.location_scale import (
    DiagonalCauchy,
    DiagonalGumbel,
    DiagonalLaplace,
    DiagonalLogistic,
    DiagonalStudentT,
    LocationScale,
)

Make = Callable[[Tensor, Tensor], LocationScale]
FAMILIES: dict[str, tuple[Make, Any]] = {
    "laplace": (DiagonalLaplace, stats.laplace()),
    "logistic": (DiagonalLogistic, stats.logistic()),
    "student-t, 2.1": (lambda m, s: DiagonalStudentT(m, s, 2.1), stats.t(2.1)),
    "student-t, 5": (lambda m, s: DiagonalStudentT(m, s, 5.0), stats.t(5)),
    "student-t, 1e6": (lambda m, s: DiagonalStudentT(m, s, 1e6), stats.t(1e6)),
    "cauchy": (DiagonalCauchy, stats.cauchy()),
    "gumbel": (DiagonalGumbel, stats.gumbel_r()),
}
EVERY = pytest.mark.parametrize(("make", "peer"), FAMILIES.values(), ids=FAMILIES)


def parameters(rows: int = 4, dim: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    loc, log_scale = torch.randn(2, rows, dim, generator=generator, dtype=torch.float64)
    return loc, log_scale


@EVERY
def test_density_moments_and_entropy_are_scipys(make: Make, peer: Any) -> None:
    loc, log_scale = parameters()
    q = make(loc, log_scale)
    z = 5 * torch.randn(6, 4, 3, dtype=torch.float64)
    scale = log_scale.exp()
    expected = peer.logpdf(((z - loc) / scale).numpy()) - log_scale.numpy()
    np.testing.assert_allclose(q.log_prob(z), expected.sum(-1), rtol=1e-8)
    if np.isfinite(peer.var()):
        np.testing.assert_allclose(q.mean, loc + peer.mean() * scale, rtol=1e-9)
        np.testing.assert_allclose(q.variance, peer.var() * scale.square(), rtol=1e-9)
        torch.testing.assert_close(q.stddev.square(), q.variance)
    np.testing.assert_allclose(q.entropy(), (peer.entropy() + log_scale).sum(-1), rtol=1e-5)


@EVERY
def test_draws_follow_the_distribution_function(make: Make, peer: Any) -> None:
    torch.manual_seed(0)
    loc, log_scale = parameters(1, 2)
    drawn = make(loc, log_scale).rsample((20_000,))[:, 0]
    for d in range(2):
        t = (drawn[:, d] - loc[0, d]) / log_scale[0, d].exp()
        assert stats.kstest(t.numpy(), peer.cdf).pvalue > 1e-3 / (2 * len(FAMILIES))
    # Half a percent of the mass in either tail, where an inverse that loses its digits goes wrong.
    t = (drawn - loc[0]) * torch.exp(-log_scale[0])
    share = float(((t > peer.ppf(0.995)) | (t < peer.ppf(0.005))).double().mean())
    assert share == pytest.approx(0.01, abs=4.5 * (0.01 * 0.99 / 40_000) ** 0.5)


def test_a_cauchy_has_a_median_and_no_variance() -> None:
    q = DiagonalCauchy(*parameters())
    torch.testing.assert_close(q.mean, q.loc)
    assert bool(q.variance.isinf().all())


def test_a_gumbel_density_that_no_number_holds_is_no_reason_for_nan() -> None:
    """As in a mixture, where it is one of several and has no weight."""
    t = torch.tensor([-1e3, 0.0], requires_grad=True)
    log_f = DiagonalGumbel(torch.zeros(1), torch.zeros(1)).log_prob(t.unsqueeze(-1))
    (gradient,) = torch.autograd.grad(torch.logsumexp(log_f, 0), t)
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("name", ["laplace", "logistic", "cauchy", "gumbel"])
def test_common_noise_gives_the_quantiles(name: str) -> None:
    make, peer = FAMILIES[name]
    noise = torch.tensor([[-8.0], [-1.0], [0.3], [8.0]]).double()
    q = make(torch.zeros(1, 1).double(), torch.zeros(1, 1).double())
    # By the upper tail where that one keeps its digits.
    expected = np.where(noise < 0, peer.ppf(stats.norm.cdf(noise)), peer.isf(stats.norm.sf(noise)))
    np.testing.assert_allclose(q.from_noise(noise), expected, rtol=1e-9)


@EVERY
def test_rows_share_their_noise_and_nothing_else(make: Make, peer: Any) -> None:
    loc, log_scale = parameters()
    z, log_q = draw_common(make(loc, log_scale), 5, torch.Generator().manual_seed(1))
    t = (z - loc) / log_scale.exp()
    torch.testing.assert_close(t, t[:, :1].expand_as(t))
    alone, log_alone = draw_common(make(loc[2:3], log_scale[2:3]), 5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(alone[:, 0], z[:, 2])
    torch.testing.assert_close(log_alone[:, 0], log_q[:, 2])


@EVERY
def test_gradients_are_finite_differences(make: Make, peer: Any) -> None:
    loc, log_scale = (p.requires_grad_() for p in parameters(2, 2))
    z = torch.randn(2, 2, dtype=torch.float64)
    noise = torch.randn(3, 1, make(loc, log_scale).noise_size, dtype=torch.float64)
    assert gradcheck(lambda m, s: make(m, s).log_prob(z), (loc, log_scale))
    assert gradcheck(lambda m, s: make(m, s).from_noise(noise), (loc, log_scale))


@EVERY
@pytest.mark.parametrize("log_scale", [-7.0, 0.0, 20.0])
@pytest.mark.parametrize("noise", [-9.0, 0.0, 9.0])
def test_extremes_stay_finite_in_single_precision(make: Make, peer: Any, log_scale: float, noise: float) -> None:
    parameters = (torch.zeros(1, 1, requires_grad=True), torch.full((1, 1), log_scale, requires_grad=True))
    q = make(*parameters)
    values = (q.from_noise(torch.full((1, q.noise_size), noise)), torch.tensor([[1e15]]), torch.tensor([[0.0]]))
    for z in values:
        log_q = q.log_prob(z)
        gradients = torch.autograd.grad(log_q.sum(), parameters, retain_graph=True)
        assert all(bool(torch.isfinite(part).all()) for part in (z, log_q, *gradients))


@EVERY
def test_a_stopped_density_has_the_gradient_through_z_alone(make: Make, peer: Any) -> None:
    loc, log_scale = (p.requires_grad_() for p in parameters())
    q = make(loc, log_scale)
    held = q.stopped()
    z = torch.randn(4, 3, dtype=torch.float64)
    torch.testing.assert_close(held.log_prob(z), q.log_prob(z))
    assert not held.log_prob(z).requires_grad
