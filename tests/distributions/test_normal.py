"""Gaussians by their log-variance, against SciPy and torch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest, multivariate_normal, norm
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions import Independent, Normal

from nelbo.distributions import DiagonalNormal, ElementwiseNormal, LogVariance, StandardNormal, Variance

FLOORS = pytest.mark.parametrize("floor", [-14.0, -6.0, 0.0])


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_standard_normal_density_is_scipys() -> None:
    z = 3 * random(4, 5, 3)
    found = StandardNormal(3, z).log_prob(z)
    np.testing.assert_allclose(found, multivariate_normal(np.zeros(3)).logpdf(z.numpy()), rtol=1e-12)


def test_diagonal_normal_density_is_scipys() -> None:
    loc, log_variance, z = random(4, 3), random(4, 3, seed=1), random(6, 4, 3, seed=2)
    expected = norm(loc.numpy(), np.exp(0.5 * log_variance.numpy())).logpdf(z.numpy()).sum(-1)
    np.testing.assert_allclose(DiagonalNormal(loc, log_variance).log_prob(z), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(), (3,), (4, 3)])
def test_elementwise_normal_density_is_scipys_for_a_scale_that_broadcasts(shape: tuple[int, ...]) -> None:
    loc, scale, x = random(4, 3), random(*shape, seed=1).exp(), random(2, 4, 3, seed=2)
    found = ElementwiseNormal(loc, scale)
    np.testing.assert_allclose(found.log_prob(x), norm(loc.numpy(), scale.numpy()).logpdf(x.numpy()), rtol=1e-12)
    assert found.variance.shape == found.stddev.shape == loc.shape
    np.testing.assert_allclose(found.variance, (scale**2).expand(4, 3))


def test_moments_and_entropy_are_torchs() -> None:
    loc, log_variance = random(4, 3), random(4, 3, seed=1)
    ours, peer = DiagonalNormal(loc, log_variance), Independent(Normal(loc, (0.5 * log_variance).exp()), 1)
    torch.testing.assert_close(ours.mean, peer.mean)
    torch.testing.assert_close(ours.mode, peer.mean)
    torch.testing.assert_close(ours.variance, peer.variance)
    torch.testing.assert_close(ours.stddev, peer.variance.sqrt())
    torch.testing.assert_close(ours.entropy(), peer.entropy())
    assert (ours.batch_shape, ours.event_shape) == ((4,), (3,))
    standard = StandardNormal(3, loc)
    assert (standard.batch_shape, standard.event_shape) == ((), (3,))
    assert standard.mean.equal(torch.zeros(3).double())
    assert standard.variance.equal(torch.ones(3).double())


def test_draws_follow_the_density() -> None:
    # Kolmogorov-Smirnov at 1e-4 over three distributions of 20,000 draws each.
    torch.manual_seed(0)
    loc, log_variance = torch.tensor([[2.0, -1.0]]).double(), torch.tensor([[-3.0, 1.5]]).double()
    drawn = DiagonalNormal(loc, log_variance).rsample((20_000,))
    for i in range(2):
        law = norm(float(loc[0, i]), math.exp(0.5 * float(log_variance[0, i])))
        assert kstest(drawn[:, 0, i].numpy(), law.cdf).pvalue > 1e-4
    assert abs(np.corrcoef(drawn[:, 0].T.numpy())[0, 1]) < 4 / math.sqrt(20_000)
    standard = StandardNormal(1, loc).rsample((20_000,))
    assert kstest(standard[:, 0].numpy(), norm.cdf).pvalue > 1e-4
    wide = ElementwiseNormal(loc[0], torch.tensor(3.0).double()).rsample((20_000,))
    assert kstest(wide[:, 0].numpy(), norm(2.0, 3.0).cdf).pvalue > 1e-4


def test_draws_have_the_shape_and_type_asked_for() -> None:
    single = torch.zeros(4, 3)
    for q in (DiagonalNormal(single, single), ElementwiseNormal(single, torch.tensor(1.0))):
        assert q.sample((5, 2)).shape == (5, 2, 4, 3)
        assert q.rsample().dtype == torch.float32
    assert StandardNormal(3, single).sample((5,)).shape == (5, 3)
    assert StandardNormal(3, single.double()).sample((5,)).dtype == torch.float64


def test_a_draw_from_given_noise_is_location_plus_scale_times_noise() -> None:
    q, noise = DiagonalNormal(random(4, 3), random(4, 3, seed=1)), random(5, 1, 3, seed=2)
    expected = q.loc + torch.exp(0.5 * q.log_variance) * noise
    torch.testing.assert_close(q.from_noise(noise), expected)


def test_expanding_repeats_the_distribution() -> None:
    z = random(5, 3)
    wide = StandardNormal(3, z).expand((5,))
    assert (wide.batch_shape, wide.event_shape) == ((5,), (3,))
    torch.testing.assert_close(wide.log_prob(z), StandardNormal(3, z).log_prob(z))
    one = DiagonalNormal(random(3), random(3, seed=1))
    torch.testing.assert_close(one.expand((5,)).log_prob(z), one.log_prob(z))


def test_gradients_are_finite_differences() -> None:
    loc, log_variance, z = (random(2, 3, seed=i).requires_grad_() for i in range(3))
    assert gradcheck(lambda m, v, x: DiagonalNormal(m, v).log_prob(x), (loc, log_variance, z))
    assert gradcheck(lambda m, v: DiagonalNormal(m, v).from_noise(torch.ones(2, 3).double()), (loc, log_variance))
    assert gradcheck(lambda m, s, x: ElementwiseNormal(m, s.exp()).log_prob(x), (loc, log_variance, z))
    assert gradcheck(lambda x: StandardNormal(3, x).log_prob(x), (z,))


def test_stopped_parameters_are_constants_and_z_is_not() -> None:
    loc, log_variance = random(4, 3).requires_grad_(), random(4, 3, seed=1).requires_grad_()
    q, z = DiagonalNormal(loc, log_variance), random(4, 3, seed=2).requires_grad_()
    log_q = q.stopped().log_prob(z)
    torch.testing.assert_close(log_q, q.log_prob(z))
    (gradient,) = torch.autograd.grad(log_q.sum(), z)
    torch.testing.assert_close(gradient, -(z - loc) / log_variance.exp())
    assert not log_q.requires_grad or torch.autograd.grad(
        q.stopped().log_prob(z).sum(), [loc, log_variance], allow_unused=True
    ) == (None, None)


@pytest.mark.parametrize("log_variance", [-14.0, 40.0])
@pytest.mark.parametrize("loc", [0.0, 1e4, -1e4])
def test_extreme_parameters_give_finite_densities_and_gradients_in_single_precision(
    loc: float, log_variance: float
) -> None:
    m, v = torch.full((1, 2), loc, requires_grad=True), torch.full((1, 2), log_variance, requires_grad=True)
    density = DiagonalNormal(m, v).log_prob(torch.tensor([[0.0, 255.0]]))
    gradients = torch.autograd.grad(density.sum(), (m, v))
    assert bool(torch.isfinite(density).all())
    assert all(bool(torch.isfinite(g).all()) for g in gradients)


# The floor of log-variances.


@FLOORS
def test_log_variances_stay_above_the_floor_and_follow_the_output_far_above_it(floor: float) -> None:
    raw = torch.linspace(floor - 200, floor + 200, 4001, dtype=torch.float64)
    bounded = LogVariance(floor)(raw)
    assert bool((bounded >= floor).all())
    assert bool((bounded.diff() >= 0).all())
    # torch's softplus is the identity above 20, which leaves out exp(-20) = 2e-9.
    np.testing.assert_allclose(bounded, floor + np.logaddexp(0, raw.numpy() - floor), rtol=0, atol=3e-9)
    above = raw >= floor + 1
    assert bool(((bounded - raw)[above] <= torch.exp(floor - raw)[above] + 1e-12).all())


@FLOORS
def test_the_inverse_undoes_the_floor(floor: float) -> None:
    bound = LogVariance(floor)
    log_variance = floor + torch.logspace(-3, 2, 60, dtype=torch.float64)
    torch.testing.assert_close(bound(bound.inverse(log_variance)), log_variance, rtol=1e-10, atol=1e-10)


@FLOORS
def test_the_bounded_variance_is_that_of_the_bounded_log_variance(floor: float) -> None:
    raw = torch.linspace(floor - 50, floor + 50, 1001, dtype=torch.float64)
    variance, log_variance = Variance(floor)(raw), LogVariance(floor)(raw)
    torch.testing.assert_close(variance.log(), log_variance, rtol=0, atol=3e-9)
    torch.testing.assert_close(
        Variance(floor).share_at_floor(variance), LogVariance(floor).share_at_floor(log_variance)
    )


def test_a_normal_may_be_given_its_variance() -> None:
    loc, log_variance = torch.randn(2, 5, 3, dtype=torch.float64)
    given, found = DiagonalNormal(loc, log_variance, log_variance.exp()), DiagonalNormal(loc, log_variance)
    torch.testing.assert_close(given.variance, found.variance)
    torch.testing.assert_close(given.stddev, found.stddev)


@pytest.mark.parametrize("bounded", [LogVariance, Variance])
def test_an_output_at_the_floor_can_leave_it_again(bounded: type[LogVariance | Variance]) -> None:
    raw = torch.tensor(-20.0, requires_grad=True)
    module = bounded(-14.0)
    module.log_variance(module(raw)).backward()
    assert raw.grad is not None
    assert float(raw.grad) > 1e-3


def test_the_share_at_the_floor_counts_outputs_within_a_tenth() -> None:
    bound = LogVariance(-5.0)
    assert float(bound.share_at_floor(torch.tensor([-5.0, -4.95, -4.85, 0.0]))) == pytest.approx(0.5)
