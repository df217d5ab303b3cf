"""The discretised log-normal against SciPy's log-normal, many digits and enumeration."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch.autograd import gradcheck

from draws import assert_counted_as
from nelbo.distributions.discretized_log_normal import NARROW, DiscretizedLogNormal

PARAMETERS = pytest.mark.parametrize(
    ("loc", "scale"), [(-3.0, 0.4), (0.0, 1.0), (0.7, 0.05), (2.0, 0.5), (3.0, 1.5), (4.0, 0.2)]
)


def law(loc: float, scale: float, dtype: torch.dtype = torch.float64) -> DiscretizedLogNormal:
    return DiscretizedLogNormal(torch.tensor([loc], dtype=dtype), torch.tensor([math.log(scale)], dtype=dtype))


def masses(px: DiscretizedLogNormal, most: int) -> np.ndarray:
    return px.log_prob(torch.arange(float(most)).double()).exp().numpy()


def exact(loc: float, scale: float, k: int) -> float:
    """log P(x = k) in many digits, from the definition, on the side where the tails are small."""
    with mpmath.workdps(60):
        low, high = ((mpmath.log(mpmath.mpf(k) + half) - mpmath.mpf(loc)) / mpmath.mpf(scale) for half in (0.5, 1.5))
        if k == 0:
            return float(mpmath.log(mpmath.ncdf(high)))
        low, high = (-high, -low) if low > 0 else (low, high)
        return float(mpmath.log(mpmath.ncdf(high) - mpmath.ncdf(low)))


@PARAMETERS
def test_masses_are_intervals_of_scipys_log_normal_and_sum_to_one(loc: float, scale: float) -> None:
    # 1 + v is log-normal: the mass of k is that between k + 1/2 and k + 3/2, of 0 all below 3/2.
    most = 200_000
    found, peer = masses(law(loc, scale), most), stats.lognorm(scale, scale=math.exp(loc))
    edges = np.concatenate([[0.0], np.arange(most) + 1.5])
    np.testing.assert_allclose(found, np.diff(peer.cdf(edges)), rtol=1e-6, atol=1e-13)
    assert found.sum() + peer.sf(most + 0.5) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("k", [0, 1, 2, 30, 5_000, 10_000_000])
@pytest.mark.parametrize(
    ("loc", "scale"), [(0.0, 1.0), (9.0, 0.1), (2.0, 0.001), (-5.0, 0.3), (1.0, 30.0), (8.517, 2e3)]
)
def test_masses_keep_their_digits_in_both_tails_and_over_narrow_intervals(loc: float, scale: float, k: int) -> None:
    found = float(law(loc, scale).log_prob(torch.tensor([float(k)]).double()))
    assert found == pytest.approx(exact(loc, scale, k), rel=1e-9, abs=1e-12)


def test_the_two_forms_meet_where_one_takes_over_from_the_other() -> None:
    edge = math.log1p(1 / 40.5) / NARROW  # where the interval of 40 is that many standard deviations wide
    for scale in (edge * (1 - 1e-9), edge * (1 + 1e-9)):
        assert float(law(1.0, scale).log_prob(torch.tensor([40.0]).double())) == pytest.approx(
            exact(1.0, scale, 40), rel=1e-9
        )


@PARAMETERS
def test_the_mean_is_that_of_enumeration(loc: float, scale: float) -> None:
    most = 1_000_000
    px = law(loc, scale)
    found = masses(px, most)
    assert float(px.mean) == pytest.approx(float(found @ np.arange(most)), rel=2e-5)


@PARAMETERS
def test_the_mode_is_that_of_enumeration(loc: float, scale: float) -> None:
    px = law(loc, scale)
    assert float(px.log_prob(px.mode).exp()) == pytest.approx(float(masses(px, 5_000).max()), rel=1e-12)


@pytest.mark.parametrize(("loc", "scale"), [(-0.5, 1.0), (0.0, 1.0), (2.0, 0.5), (3.0, 1.5), (4.0, 0.2)])
def test_draws_follow_the_masses(loc: float, scale: float) -> None:
    px = law(loc, scale)
    assert_counted_as(px.sample((20_000,))[:, 0], masses(px, 5_000), comparisons=5)


def test_gradients_are_finite_differences() -> None:
    x = torch.tensor([0.0, 0.0, 1.0, 3.0, 500.0, 40.0, 2.0]).double()
    loc = torch.tensor([0.3, -4.0, 2.0, 1.1, 5.0, 1.0, -1.0]).double().requires_grad_()
    log_scale = torch.tensor([-1.0, 0.0, -2.0, 0.5, 0.3, 6.0, 11.0]).double().requires_grad_()  # the last two narrow
    assert gradcheck(lambda m, s: DiscretizedLogNormal(m, s).log_prob(x), (loc, log_scale))
    assert gradcheck(lambda m, s: DiscretizedLogNormal(m, s).mean, (loc[:4], log_scale[:4]))


@pytest.mark.parametrize("loc", [-1e4, 0.0, 12.0, 1e4])
@pytest.mark.parametrize("log_scale", [-7.0, 0.0, 20.0])
@pytest.mark.parametrize("x", [0.0, 1.0, 1e6, 1e9])
def test_extremes_are_finite_in_single_precision(loc: float, log_scale: float, x: float) -> None:
    parameters = [torch.tensor([value], requires_grad=True) for value in (loc, log_scale)]
    px = DiscretizedLogNormal(*parameters)
    mass = px.log_prob(torch.tensor([x]))
    gradients = torch.autograd.grad(mass.sum(), parameters)
    drawn = px.sample((100,))
    assert float(mass.detach()) <= 0
    assert all(bool(torch.isfinite(t).all()) for t in (mass, *gradients, drawn, px.mode))
    assert bool(((drawn >= 0) & (drawn == drawn.round())).all())


def test_single_precision_agrees_with_double_at_large_counts() -> None:
    # log(k + 3/2) - log(k + 1/2) has no digits left in single precision at k = 1e7.
    x = torch.tensor([1e3, 1e5, 1e7, 1.6e7])
    single, double = law(12.0, 2.0, torch.float32).log_prob(x), law(12.0, 2.0).log_prob(x.double())
    np.testing.assert_allclose(single, double, rtol=1e-6)
