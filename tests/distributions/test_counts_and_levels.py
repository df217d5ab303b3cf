"""Negative binomial, Student's t, free levels and mixtures of logistics, against SciPy and enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions.discretized_logistic import DiscretizedLogistic
from nelbo.distributions.levels import Levels
from nelbo.distributions.logistic_mixture import LogisticMixture
from nelbo.distributions.negative_binomial import NegativeBinomial
from nelbo.distributions.student import ElementwiseStudentT

# Negative binomial.

MEANS = pytest.mark.parametrize("mean", [1e-3, 0.7, 20.0, 5_000.0])
DISPERSIONS = pytest.mark.parametrize("dispersion", [1e-2, 1.0, 300.0])


def counts(mean: float, dispersion: float, dtype: torch.dtype = torch.float64) -> NegativeBinomial:
    return NegativeBinomial(*(torch.tensor([math.log(v)], dtype=dtype) for v in (mean, dispersion)))


@MEANS
@DISPERSIONS
def test_count_masses_and_moments_are_scipys(mean: float, dispersion: float) -> None:
    px, peer = counts(mean, dispersion), stats.nbinom(dispersion, dispersion / (dispersion + mean))
    x = torch.tensor([0.0, 1.0, 3.0, 40.0, 6_000.0]).double()
    np.testing.assert_allclose(px.log_prob(x), peer.logpmf(x.numpy()), rtol=1e-9, atol=1e-9)
    assert float(px.mean) == pytest.approx(peer.mean(), rel=1e-9)
    assert float(px.variance) == pytest.approx(peer.var(), rel=1e-9)
    mode = float(px.mode)
    around = px.log_prob(torch.tensor([max(0.0, mode - 1), mode, mode + 1]).double())
    assert float(around[1]) >= float(around.max()) - 1e-12


@pytest.mark.parametrize("mean", [1e3, 1e5, 1e7])
def test_large_counts_keep_their_digits_in_single_precision(mean: float) -> None:
    single, double = counts(mean, math.exp(10.0), torch.float32), counts(mean, math.exp(10.0))
    x = double.sample((200,)).squeeze(-1)
    x = x.float().double()  # counts that both types hold
    found = single.log_prob(x.float().unsqueeze(-1)).double()
    # The parameters themselves are rounded: log m to 1e-7 moves the mean by mean * 1e-7.
    torch.testing.assert_close(found, double.log_prob(x.unsqueeze(-1)), rtol=0, atol=3e-3)


def test_many_degrees_of_dispersion_are_a_poisson_in_single_precision() -> None:
    x = torch.arange(60.0)
    found = counts(20.0, math.exp(10.0), torch.float32).log_prob(x)
    # log NB - log Poisson = ((x - m)^2 - x) / 2r to first order in 1 / r.
    first_order = ((x - 20.0) ** 2 - x) / (2 * math.exp(10.0))
    np.testing.assert_allclose(found, stats.poisson(20.0).logpmf(x.numpy()) + first_order.numpy(), atol=1e-3)


def test_drawn_counts_have_the_moments() -> None:
    torch.manual_seed(0)
    px = counts(6.0, 2.0)
    drawn = px.sample((40_000,))
    error = math.sqrt(float(px.variance) / len(drawn))
    assert float(drawn.mean()) == pytest.approx(6.0, abs=4.5 * error)
    observed = np.bincount(drawn[:, 0].long().numpy(), minlength=200)[:200]
    expected = len(drawn) * px.log_prob(torch.arange(200.0).double()).exp().numpy()
    keep = expected > 5
    statistic = ((observed - expected)[keep] ** 2 / expected[keep]).sum()
    assert stats.chi2(keep.sum() - 1).sf(statistic) > 1e-4


def test_count_gradients_are_finite_differences() -> None:
    x = torch.tensor([0.0, 3.0, 500.0]).double()
    parameters = (torch.tensor([0.3, 2.0, 5.0]).double(), torch.tensor([-1.0, 0.5, 4.0]).double())
    assert gradcheck(lambda m, r: NegativeBinomial(m, r).log_prob(x), tuple(p.requires_grad_() for p in parameters))


@pytest.mark.parametrize("log_mean", [-80.0, 0.0, 20.0])
@pytest.mark.parametrize("log_dispersion", [-10.0, 10.0])
@pytest.mark.parametrize("x", [0.0, 1e6])
def test_extreme_counts_are_finite_in_single_precision(log_mean: float, log_dispersion: float, x: float) -> None:
    parameters = [torch.tensor([value], requires_grad=True) for value in (log_mean, log_dispersion)]
    mass = NegativeBinomial(*parameters).log_prob(torch.tensor([x]))
    gradients = torch.autograd.grad(mass.sum(), parameters)
    assert all(bool(torch.isfinite(t).all()) for t in (mass, *gradients))


# Student's t.


@pytest.mark.parametrize("freedom", [0.5, 2.1, 30.0, 1e6])
def test_t_densities_and_moments_are_scipys(freedom: float) -> None:
    n, log_scale = torch.tensor([freedom, 0.7], dtype=torch.float64)
    px = ElementwiseStudentT(torch.tensor([1.0, -2.0]).double(), log_scale, n)
    x = torch.linspace(-50, 50, 40).double().unsqueeze(-1)
    peer = stats.t(freedom, px.loc.numpy(), math.exp(0.7))
    np.testing.assert_allclose(px.log_prob(x), peer.logpdf(x.numpy()), rtol=1e-8, atol=1e-8)
    if freedom > 2:
        np.testing.assert_allclose(px.mean, peer.mean())
        np.testing.assert_allclose(px.variance, peer.var(), rtol=1e-9)
    else:
        assert bool(px.variance.isinf().all())


def test_t_draws_follow_the_density() -> None:
    torch.manual_seed(0)
    px = ElementwiseStudentT(torch.tensor([1.0]).double(), torch.tensor([0.2]).double(), torch.tensor([4.0]).double())
    drawn = px.rsample((20_000,))[:, 0].numpy()
    assert stats.kstest(drawn, stats.t(4.0, 1.0, math.exp(0.2)).cdf).pvalue > 1e-4


def test_t_gradients_are_finite_differences() -> None:
    x = torch.tensor([0.0, 30.0]).double()
    parameters = tuple(torch.tensor(v).double().requires_grad_() for v in ([1.0, 2.0], [0.3, -1.0], [3.0, 7.0]))
    assert gradcheck(lambda m, s, n: ElementwiseStudentT(m, s, n).log_prob(x), parameters)


@pytest.mark.parametrize("log_scale", [-7.0, 20.0])
@pytest.mark.parametrize("freedom", [2.0, 1e7])
def test_extreme_t_are_finite_in_single_precision(log_scale: float, freedom: float) -> None:
    parameters = [torch.tensor([value], requires_grad=True) for value in (0.0, log_scale, freedom)]
    density = ElementwiseStudentT(*parameters).log_prob(torch.tensor([255.0]))
    gradients = torch.autograd.grad(density.sum(), parameters)
    assert all(bool(torch.isfinite(t).all()) for t in (density, *gradients))


# Levels with or without an order.


def test_level_masses_are_a_softmax_and_sum_to_one() -> None:
    logits = 5 * torch.randn(4, 3, 6, dtype=torch.float64)
    px = Levels(logits)
    masses = torch.stack([px.log_prob(torch.full((4, 3), k).double()) for k in range(6)], -1)
    torch.testing.assert_close(masses, logits.log_softmax(-1))
    torch.testing.assert_close(px.mode, logits.argmax(-1).double())
    torch.testing.assert_close(px.mean, (masses.exp() * torch.arange(6)).sum(-1))
    assert px.log_prob(torch.zeros(7, 4, 3)).shape == (7, 4, 3)


def mixture(levels: int) -> LogisticMixture:
    generator = torch.Generator().manual_seed(0)
    weights, loc, log_scale = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
    return LogisticMixture(weights, levels * (0.5 + 0.4 * loc), log_scale, levels)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_mixture_masses_sum_to_one_and_give_mean_and_mode(levels: int) -> None:
    px = mixture(levels)
    numbers = torch.arange(levels, dtype=torch.float64)
    masses = torch.stack([px.log_prob(torch.full((5,), float(k)).double()) for k in range(levels)], -1)
    np.testing.assert_allclose(masses.exp().sum(-1), np.ones(5), rtol=1e-12)
    torch.testing.assert_close(px.mean, (masses.exp() * numbers).sum(-1))
    torch.testing.assert_close(px.mode, masses.argmax(-1).double())


def test_a_mixture_of_one_is_its_component() -> None:
    loc, log_scale, x = torch.tensor([[3.0]]), torch.tensor([[0.5]]), torch.arange(17.0).unsqueeze(-1)
    single = DiscretizedLogistic(loc[:, 0], log_scale[:, 0], 17)
    torch.testing.assert_close(LogisticMixture(torch.zeros(1, 1), loc, log_scale, 17).log_prob(x), single.log_prob(x))


@pytest.mark.parametrize(
    "px", [mixture(17), Levels(torch.randn(5, 17, dtype=torch.float64))], ids=["mixture", "levels"]
)
def test_drawn_levels_follow_the_masses(px: LogisticMixture | Levels) -> None:
    torch.manual_seed(0)
    drawn = px.sample((20_000,))
    masses = torch.stack([px.log_prob(torch.full((5,), float(k)).double()) for k in range(17)]).exp()
    for cell in range(5):
        expected = 20_000 * masses[:, cell].numpy()
        observed = np.bincount(drawn[:, cell].long().numpy(), minlength=17)
        keep = expected > 5
        statistic = ((observed - expected)[keep] ** 2 / expected[keep]).sum()
        assert stats.chi2(max(1, keep.sum() - 1)).sf(statistic) > 1e-4 / 10


def test_mixture_gradients_are_finite_differences() -> None:
    px = mixture(17)
    x = torch.tensor([0.0, 3.0, 8.0, 15.0, 16.0]).double()

    def score(weights: Tensor, loc: Tensor, log_scale: Tensor) -> Tensor:
        return LogisticMixture(weights, loc, log_scale, 17).log_prob(x)

    parameters = (px.log_weights, px.components.loc, px.components.log_scale)
    assert gradcheck(score, tuple(p.detach().requires_grad_() for p in parameters))
