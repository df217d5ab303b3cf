"""The discretised logistic against differences of SciPy's distribution function and against enumeration."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy.stats import chisquare, logistic
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions import DiscretizedLogistic

LEVELS = pytest.mark.parametrize("levels", [2, 17, 256])
LOCS = [-30.0, 0.0, 0.3, 0.6, 7.5, 8.2, 15.9, 16.0, 300.0]
LOG_SCALES = [-4.0, -1.0, 0.0, 1.5, 4.0, 8.0]


def grid(levels: int) -> DiscretizedLogistic:
    """Locations inside, at the edges of and outside the range, by scales from a point to flat."""
    loc, log_scale = torch.meshgrid(
        torch.tensor(LOCS).double() * (levels - 1) / 16, torch.tensor(LOG_SCALES).double(), indexing="ij"
    )
    return DiscretizedLogistic(loc, log_scale, levels)


def masses(px: DiscretizedLogistic) -> Tensor:
    """log P of every level, [L, *batch]."""
    levels = torch.arange(px.levels, dtype=torch.float64).view(-1, *[1] * px.loc.dim())
    return px.log_prob(levels.expand(px.levels, *px.loc.shape))


@LEVELS
def test_masses_sum_to_one(levels: int) -> None:
    total = torch.logsumexp(masses(grid(levels)), 0)
    np.testing.assert_allclose(total, np.zeros(total.shape), atol=1e-12)


@LEVELS
def test_masses_are_differences_of_scipys_distribution_function(levels: int) -> None:
    px = grid(levels)
    law = logistic(px.loc.numpy(), px.log_scale.exp().numpy())
    edges = np.concatenate([[-np.inf], np.arange(levels - 1) + 0.5, [np.inf]])
    # From whichever side is small, where the difference keeps its digits.
    for k in range(levels):
        low, high = edges[k], edges[k + 1]
        below, above = law.cdf(high) - law.cdf(low), law.sf(low) - law.sf(high)
        expected = np.where(px.loc.numpy() > k, below, above)
        found = px.log_prob(torch.full(px.loc.shape, float(k)).double()).exp()
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-300)


@pytest.mark.parametrize(("loc", "scale", "value"), [(3.3, 0.02, 9), (200.0, 1.5, 4), (0.0, 1e4, 100), (12.0, 0.3, 12)])
def test_masses_far_in_the_tail_keep_their_digits(loc: float, scale: float, value: int) -> None:
    with mpmath.workdps(400):
        a, b = (mpmath.mpf(value + half - loc) / mpmath.mpf(scale) for half in (0.5, -0.5))
        expected = float(mpmath.log(1 / (1 + mpmath.exp(-a)) - 1 / (1 + mpmath.exp(-b))))
    location, log_scale, x = torch.tensor([loc, math.log(scale), value], dtype=torch.float64)
    found = DiscretizedLogistic(location, log_scale, 256).log_prob(x)
    assert float(found) == pytest.approx(expected, rel=1e-12)


@LEVELS
def test_the_mean_is_that_of_enumeration(levels: int) -> None:
    px = grid(levels)
    values = torch.arange(levels, dtype=torch.float64).view(-1, 1, 1)
    torch.testing.assert_close(px.mean, (masses(px).exp() * values).sum(0), rtol=1e-9, atol=1e-9)


@LEVELS
def test_the_mode_is_that_of_enumeration(levels: int) -> None:
    px = grid(levels)
    best = masses(px).max(0).values
    torch.testing.assert_close(px.log_prob(px.mode), best, rtol=0, atol=1e-12)
    assert bool(((px.mode >= 0) & (px.mode < levels) & (px.mode == px.mode.round())).all())


@pytest.mark.parametrize(("loc", "log_scale"), [(8.2, 0.5), (0.2, 1.0), (17.0, 0.0), (7.5, 3.0), (6.0, -2.0)])
def test_draws_follow_the_masses(loc: float, log_scale: float) -> None:
    # Pearson's test at 1e-4 on 20,000 draws; levels expected fewer than five times are put together.
    torch.manual_seed(0)
    px = DiscretizedLogistic(torch.tensor(loc).double(), torch.tensor(log_scale).double(), 17)
    drawn = px.sample((20_000,))
    found = np.bincount(drawn.long().numpy(), minlength=17).astype(float)
    expected = 20_000 * masses(px).exp().numpy()
    rare = expected < 5
    if rare.any():
        found = np.append(found[~rare], found[rare].sum())
        expected = np.append(expected[~rare], expected[rare].sum())
    assert chisquare(found, expected * found.sum() / expected.sum()).pvalue > 1e-4


def test_draws_of_the_distribution_can_be_scored_with_their_leading_shape() -> None:
    px = grid(17)
    drawn = px.sample((3, 2))
    assert drawn.shape == (3, 2, len(LOCS), len(LOG_SCALES))
    assert px.log_prob(drawn).shape == drawn.shape


def test_a_shared_scale_broadcasts() -> None:
    loc = torch.tensor([[1.0, 5.0], [9.0, 16.0]]).double()
    shared = DiscretizedLogistic(loc, torch.tensor(0.3).double(), 17)
    full = DiscretizedLogistic(loc, torch.full((2, 2), 0.3).double(), 17)
    x = torch.tensor([[0.0, 5.0], [10.0, 16.0]]).double()
    torch.testing.assert_close(shared.log_prob(x), full.log_prob(x))
    torch.testing.assert_close(shared.mean, full.mean)
    torch.testing.assert_close(shared.mode, full.mode)
    assert shared.sample((4,)).shape == (4, 2, 2)


def test_gradients_are_finite_differences() -> None:
    loc = torch.tensor([0.2, 3.0, 15.0, 20.0]).double().requires_grad_()
    log_scale = torch.tensor([-1.0, 0.0, 1.0, 2.0]).double().requires_grad_()
    for value in (0.0, 5.0, 16.0):
        x = torch.full((4,), value).double()
        assert gradcheck(lambda m, s, x=x: DiscretizedLogistic(m, s, 17).log_prob(x), (loc, log_scale))
    assert gradcheck(lambda m, s: DiscretizedLogistic(m, s, 17).mean, (loc, log_scale))


@pytest.mark.parametrize("value", [0.0, 1.0, 128.0, 254.0, 255.0])
@pytest.mark.parametrize("loc", [-1e4, 0.0, 128.0, 255.0, 1e4])
# -7 + log 255 is the default floor of the log-scale; 20 is flat.
@pytest.mark.parametrize("log_scale", [-7 + math.log(255), -7.0, 0.0, 20.0])
def test_extreme_parameters_give_finite_masses_and_gradients_in_single_precision(
    value: float, loc: float, log_scale: float
) -> None:
    m, s = torch.tensor([loc], requires_grad=True), torch.tensor([log_scale], requires_grad=True)
    px = DiscretizedLogistic(m, s, 256)
    mass = px.log_prob(torch.tensor([value]))
    gradients = torch.autograd.grad(mass.sum(), (m, s))
    assert bool(torch.isfinite(mass).all())
    assert float(mass.detach()) <= 0
    assert all(bool(torch.isfinite(g).all()) for g in gradients)
    assert bool(torch.isfinite(px.mean).all())
    assert bool(torch.isfinite(px.sample()).all())


@pytest.mark.parametrize("log_scale", [-1.5, 0.0, 3.0, 6.0])
def test_single_precision_agrees_with_double(log_scale: float) -> None:
    # Exact to a few units in the last place of the numbers involved, also where the mass is below 1e-30.
    loc, x = torch.linspace(-20, 280, 61), torch.linspace(0, 255, 61).round()
    single = DiscretizedLogistic(loc, torch.tensor(log_scale), 256).log_prob(x)
    double = DiscretizedLogistic(loc.double(), torch.tensor(log_scale).double(), 256).log_prob(x.double())
    torch.testing.assert_close(single.double(), double, rtol=2e-6, atol=2e-6)
