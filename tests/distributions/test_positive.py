"""Vectors of exponential, log-normal and gamma latents, against SciPy and quadrature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.autograd import gradcheck

from draws import assert_follows, assert_mean
from nelbo.distributions import draw_common
from nelbo.distributions.positive import DiagonalExponential, DiagonalGamma, DiagonalLogNormal, Positive

Make = Callable[..., Positive]
FAMILIES: dict[str, tuple[Make, tuple[float, ...], Any]] = {
    "exponential": (DiagonalExponential, (0.7,), stats.expon(scale=np.exp(0.7))),
    "log-normal": (DiagonalLogNormal, (0.4, -0.5), stats.lognorm(np.exp(-0.5), scale=np.exp(0.4))),
    "gamma, 0.2": (DiagonalGamma, (0.4, np.log(0.2)), stats.gamma(0.2, scale=np.exp(0.4) / 0.2)),
    "gamma, 1": (DiagonalGamma, (0.4, 0.0), stats.expon(scale=np.exp(0.4))),
    "gamma, 30": (DiagonalGamma, (-1.0, np.log(30.0)), stats.gamma(30, scale=np.exp(-1.0) / 30)),
}
EVERY = pytest.mark.parametrize(("make", "values", "peer"), FAMILIES.values(), ids=FAMILIES)


def law(make: Make, values: tuple[float, ...], rows: int = 1, dim: int = 1) -> Positive:
    return make(*(torch.full((rows, dim), v, dtype=torch.float64) for v in values))


@EVERY
def test_density_moments_and_entropy_are_scipys(make: Make, values: tuple[float, ...], peer: Any) -> None:
    q = law(make, values, 4, 3)
    z = torch.randn(6, 4, 3, dtype=torch.float64).exp()
    assert (q.batch_shape, q.event_shape) == ((4,), (3,))
    np.testing.assert_allclose(q.log_prob(z), peer.logpdf(z.numpy()).sum(-1), rtol=1e-9)
    np.testing.assert_allclose(q.mean, peer.mean(), rtol=1e-9)
    np.testing.assert_allclose(q.variance, peer.var(), rtol=1e-9)
    np.testing.assert_allclose(q.stddev, peer.std(), rtol=1e-9)
    np.testing.assert_allclose(q.entropy(), 3 * peer.entropy(), rtol=1e-7)
    in_u = integrate.quad(lambda u: np.log(peer.ppf(u)), 0, 1)[0]
    np.testing.assert_allclose(q.mean_log, in_u, rtol=1e-5)


@EVERY
def test_draws_follow_the_density_also_from_common_noise(make: Make, values: tuple[float, ...], peer: Any) -> None:
    q = law(make, values)
    common, _ = draw_common(q, 20_000, torch.Generator().manual_seed(1))
    for drawn in (q.rsample(torch.Size((20_000,))), common):
        assert drawn.shape == (20_000, 1, 1)
        assert_follows(drawn.flatten(), peer.cdf, comparisons=4 * len(FAMILIES))
        assert_mean(drawn.flatten(), peer.mean(), peer.std(), 4 * len(FAMILIES), ceiling=0.1)


@EVERY
def test_the_pathwise_gradient_is_that_of_quadrature(make: Make, values: tuple[float, ...], peer: Any) -> None:
    """Of E[log(1 + z)], by the change that finite differences of the density bring to its quadrature."""
    step = 1e-5
    grid = torch.linspace(-45, 12, 8_001, dtype=torch.float64)

    def expected(shifted: list[float]) -> float:
        z = grid.exp().unsqueeze(-1)
        density = make(*(torch.tensor([v], dtype=torch.float64) for v in shifted)).log_prob(z) + grid
        return float(integrate.simpson((density.exp() * torch.log1p(z[:, 0])).numpy(), x=grid.numpy()))

    parameters = [torch.full((40_000, 1), v, dtype=torch.float64, requires_grad=True) for v in values]
    for z in (make(*parameters).rsample(), _noisy(make(*parameters))):
        gradients = torch.autograd.grad(torch.log1p(z).sum(), parameters)
        for place, gradient in enumerate(gradients):
            up, down = ([v + (step * sign if i == place else 0) for i, v in enumerate(values)] for sign in (1, -1))
            slope = (expected(up) - expected(down)) / (2 * step)
            assert_mean(gradient[:, 0], slope, float(gradient.std()), comparisons=20, ceiling=0.02)


def _noisy(q: Positive) -> Tensor:
    return q.from_noise(torch.randn(40_000, getattr(q, "noise_size", 1), dtype=torch.float64))


@EVERY
def test_gradients_are_finite_differences(make: Make, values: tuple[float, ...], peer: Any) -> None:
    parameters = [torch.full((2, 2), v, dtype=torch.float64, requires_grad=True) for v in values]
    z = torch.tensor([[0.1, 3.0], [1.0, 0.4]]).double().requires_grad_()
    assert gradcheck(lambda z, *p: make(*p).log_prob(z), (z, *parameters))
    assert gradcheck(lambda *p: make(*p).mean_log + make(*p).entropy_per_dimension(), parameters)
    if make is not DiagonalGamma:  # whose draws are by rejection
        noise = torch.randn(3, 1, 2, dtype=torch.float64)
        assert gradcheck(lambda *p: make(*p).from_noise(noise), parameters)


@EVERY
def test_rows_share_their_noise_and_nothing_else(make: Make, values: tuple[float, ...], peer: Any) -> None:
    rows = [torch.randn(4, 2, dtype=torch.float64) for _ in values]
    z, log_q = draw_common(make(*rows), 5, torch.Generator().manual_seed(1))
    alone, log_alone = draw_common(make(*(row[2:3] for row in rows)), 5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(alone[:, 0], z[:, 2])
    torch.testing.assert_close(log_alone[:, 0], log_q[:, 2])


@EVERY
def test_a_stopped_density_has_no_gradient_of_the_parameters(make: Make, values: tuple[float, ...], peer: Any) -> None:
    q = make(*(torch.full((4, 3), v, requires_grad=True) for v in values))
    z = torch.rand(4, 3)
    torch.testing.assert_close(q.stopped().log_prob(z), q.log_prob(z))
    assert not q.stopped().log_prob(z).requires_grad


@pytest.mark.parametrize(
    ("make", "values"),
    [
        *((DiagonalExponential, (v,)) for v in (-7.0, 20.0)),
        *((DiagonalLogNormal, (v, s)) for v in (-20.0, 20.0) for s in (-7.0, 0.7)),
        *((DiagonalGamma, (v, k)) for v in (-20.0, 20.0) for k in (-1.6, 10.0)),
    ],
)
def test_extremes_stay_finite_and_positive_in_single_precision(make: Make, values: tuple[float, ...]) -> None:
    parameters = [torch.full((2_000, 1), v, requires_grad=True) for v in values]
    q = make(*parameters)
    limits = torch.finfo(torch.float32)
    drawn = [q.rsample()]
    if make is not DiagonalGamma:
        drawn += [q.from_noise(torch.full((2_000, 1), n)) for n in (-14.0, 14.0)]
    for z in [*drawn, torch.full((2_000, 1), limits.tiny), torch.full((2_000, 1), 1e3)]:
        assert bool((z > 0).all())
        log_q = q.log_prob(z)
        gradients = torch.autograd.grad(log_q.sum() + q.entropy().sum(), parameters, retain_graph=True)
        assert all(bool(torch.isfinite(part).all()) for part in (z, log_q, *gradients))
