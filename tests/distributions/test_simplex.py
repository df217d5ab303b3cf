"""The Dirichlet and the logistic-normal, against SciPy, quadrature and the laws of their parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate, special, stats
from torch import Tensor
from torch.autograd import gradcheck

from draws import assert_follows, assert_mean
from nelbo.distributions import draw_common
from nelbo.distributions.simplex import Dirichlet, LogisticNormal

CONCENTRATIONS = pytest.mark.parametrize("a", [(0.2, 0.3, 0.5), (1.0, 1.0, 1.0), (30.0, 0.4, 5.0)])
LOC, LOG_SCALE = torch.tensor([0.5, -1.0]).double(), torch.tensor([-0.3, 0.2]).double()


def dirichlet(a: tuple[float, ...]) -> Dirichlet:
    return Dirichlet(torch.tensor(a, dtype=torch.float64).log())


@CONCENTRATIONS
def test_the_dirichlet_is_scipys(a: tuple[float, ...]) -> None:
    q, peer = dirichlet(a), stats.dirichlet(a)
    z = torch.tensor(stats.dirichlet([1, 1, 1]).rvs(20, random_state=0))
    np.testing.assert_allclose(q.log_prob(z), [peer.logpdf(row / row.sum()) for row in z.numpy()], rtol=1e-8)
    np.testing.assert_allclose(q.mean, peer.mean(), rtol=1e-9)
    np.testing.assert_allclose(q.variance, peer.var(), rtol=1e-9)


@CONCENTRATIONS
def test_draws_of_the_dirichlet_have_beta_margins_also_from_common_noise(a: tuple[float, ...]) -> None:
    q = dirichlet(a)
    rows = Dirichlet(q.log_concentration.expand(1, 3))
    for drawn in (q.rsample((20_000,)), draw_common(rows, 20_000, torch.Generator().manual_seed(1))[0][:, 0]):
        torch.testing.assert_close(drawn.sum(-1), torch.ones(20_000).double())
        for d in range(3):
            peer = stats.beta(a[d], sum(a) - a[d])
            assert_follows(drawn[:, d], peer.cdf, comparisons=36)
            assert_mean(drawn[:, d], peer.mean(), peer.std(), comparisons=36, ceiling=0.01)


def test_pathwise_gradients_of_the_dirichlet_are_those_of_the_closed_form() -> None:
    """Of E[log z_0] = psi(a_0) - psi(sum a)."""
    a = np.array([0.6, 2.0, 1.1])
    parameter = torch.tensor(np.log(a)).expand(40_000, 3).clone().requires_grad_()
    q = Dirichlet(parameter)
    for z in (q.rsample(), q.from_noise(torch.randn(40_000, q.noise_size, dtype=torch.float64))):
        (gradient,) = torch.autograd.grad(z[:, 0].log().sum(), parameter)
        for d in range(3):
            slope = a[d] * ((d == 0) * special.polygamma(1, a[0]) - special.polygamma(1, a.sum()))
            assert_mean(gradient[:, d], slope, float(gradient[:, d].std()), comparisons=6, ceiling=0.02)


def test_the_density_of_the_logistic_normal_integrates_to_one_over_the_first_coordinates() -> None:
    q = LogisticNormal(LOC, LOG_SCALE)

    def density(second: float, first: float) -> float:
        return float(q.log_prob(torch.tensor([first, second, 1 - first - second]).double()).exp())

    total = integrate.dblquad(density, 0, 1, 0, lambda first: 1 - first, epsabs=1e-4)[0]
    assert total == pytest.approx(1.0, abs=1e-3)


def test_the_density_of_the_logistic_normal_is_the_gaussians_over_the_jacobian() -> None:
    q = LogisticNormal(LOC, LOG_SCALE)
    e = torch.tensor([0.7, -0.2]).double()

    def point(e: Tensor) -> Tensor:
        return torch.softmax(torch.cat([e, e.new_zeros(1)]), -1)

    jacobian = torch.autograd.functional.jacobian(lambda e: point(e)[:-1], e)
    expected = stats.norm(LOC, LOG_SCALE.exp()).logpdf(e).sum() - float(torch.linalg.slogdet(jacobian).logabsdet)
    assert float(q.log_prob(point(e))) == pytest.approx(expected, rel=1e-10)


def test_log_ratios_of_the_logistic_normal_are_gaussian_also_from_common_noise() -> None:
    q = LogisticNormal(LOC.expand(1, 2), LOG_SCALE.expand(1, 2))
    for drawn in (q.rsample((20_000,)), draw_common(q, 20_000, torch.Generator().manual_seed(1))[0]):
        z = drawn[:, 0]
        torch.testing.assert_close(z.sum(-1), torch.ones(20_000).double())
        for d in range(2):
            peer = stats.norm(float(LOC[d]), float(LOG_SCALE[d].exp()))
            assert_follows(torch.log(z[:, d] / z[:, 2]), peer.cdf, comparisons=4)
        error = 4.5 * (q.variance / 256).sqrt()[0]
        assert bool(((z.mean(0) - q.mean[0]).abs() < error).all())


def test_gradients_are_finite_differences() -> None:
    z = torch.softmax(torch.randn(2, 3, dtype=torch.float64), -1)
    a = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    loc, log_scale = (torch.randn(2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    noise = torch.randn(4, 1, 2, dtype=torch.float64)
    assert gradcheck(lambda a: Dirichlet(a).log_prob(z), (a,))
    assert gradcheck(lambda m, s: LogisticNormal(m, s).log_prob(z), (loc, log_scale))
    assert gradcheck(lambda m, s: LogisticNormal(m, s).from_noise(noise), (loc, log_scale))


EXTREME: dict[str, Callable[[], tuple[type, list[Tensor]]]] = {
    "dirichlet, small": lambda: (Dirichlet, [torch.full((2_000, 3), -1.6)]),
    "dirichlet, large": lambda: (Dirichlet, [torch.full((2_000, 3), 10.0)]),
    "dirichlet, both": lambda: (Dirichlet, [torch.tensor([10.0, -1.6, 0.0]).repeat(2_000, 1)]),
    "logistic-normal, narrow": lambda: (LogisticNormal, [torch.zeros(2_000, 2), torch.full((2_000, 2), -7.0)]),
    "logistic-normal, wide": lambda: (LogisticNormal, [torch.zeros(2_000, 2), torch.full((2_000, 2), 2.0)]),
    "logistic-normal, corner": lambda: (LogisticNormal, [torch.full((2_000, 2), 60.0), torch.zeros(2_000, 2)]),
}


@pytest.mark.parametrize("name", EXTREME)
def test_extremes_stay_finite_and_inside_in_single_precision(name: str) -> None:
    kind, values = EXTREME[name]()
    parameters = [value.requires_grad_() for value in values]
    q = kind(*parameters)
    for z in (q.rsample(), torch.eye(3)[torch.arange(2_000) % 3]):
        log_q = q.log_prob(z)
        gradients = torch.autograd.grad(log_q.sum(), parameters, retain_graph=True)
        assert all(bool(torch.isfinite(part).all()) for part in (z, log_q, *gradients))
    assert bool((q.rsample() > 0).all())


def test_rows_share_their_noise_and_nothing_else() -> None:
    for make, size in ((Dirichlet, 3), (lambda m: LogisticNormal(m, 0.1 * m), 2)):
        raw = torch.randn(4, size, dtype=torch.float64)
        z, log_q = draw_common(make(raw), 5, torch.Generator().manual_seed(1))
        alone, log_alone = draw_common(make(raw[2:3]), 5, torch.Generator().manual_seed(1))
        torch.testing.assert_close(alone[:, 0], z[:, 2])
        torch.testing.assert_close(log_alone[:, 0], log_q[:, 2])


def test_a_stopped_density_has_no_gradient_of_the_parameters() -> None:
    raw, z = torch.zeros(2, 3, requires_grad=True), torch.softmax(torch.randn(2, 3), -1)
    assert not Dirichlet(raw).stopped().log_prob(z).requires_grad
    assert not LogisticNormal(raw[:, 1:], raw[:, 1:]).stopped().log_prob(z).requires_grad
