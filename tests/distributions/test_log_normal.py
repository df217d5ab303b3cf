"""The log-normal against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck

from draws import assert_follows, assert_mean
from nelbo.distributions.log_normal import LogNormal

PARAMETERS = pytest.mark.parametrize(("loc", "scale"), [(0.0, 1.0), (-3.0, 0.01), (5.0, 2.0)])


def law(loc: float, scale: float, dtype: torch.dtype = torch.float64) -> LogNormal:
    return LogNormal(torch.tensor([loc], dtype=dtype), torch.tensor([math.log(scale)], dtype=dtype))


@PARAMETERS
def test_density_and_moments_are_scipys(loc: float, scale: float) -> None:
    px, peer = law(loc, scale), stats.lognorm(scale, scale=math.exp(loc))
    x = torch.logspace(-6, 6, 40, dtype=torch.float64)
    np.testing.assert_allclose(px.log_prob(x), peer.logpdf(x.numpy()), rtol=1e-10, atol=1e-10)
    assert float(px.mean) == pytest.approx(peer.mean(), rel=1e-10)
    assert float(px.variance) == pytest.approx(peer.var(), rel=1e-10)


@PARAMETERS
def test_no_value_is_more_probable_than_the_mode(loc: float, scale: float) -> None:
    px = law(loc, scale)
    around = px.log_prob(px.mode * torch.tensor([0.99, 1.0, 1.01]).double())
    assert around.argmax() == 1


@PARAMETERS
def test_draws_follow_the_density(loc: float, scale: float) -> None:
    torch.manual_seed(0)
    drawn = law(loc, scale).rsample((20_000,))[:, 0]
    assert_follows(drawn, stats.lognorm(scale, scale=math.exp(loc)).cdf, comparisons=6)
    assert_mean(drawn.log(), loc, scale, comparisons=6, ceiling=0.02)


def test_gradients_of_densities_and_draws_are_finite_differences() -> None:
    x = torch.tensor([0.1, 30.0]).double()
    parameters = tuple(torch.tensor(v).double().requires_grad_() for v in ([1.0, -2.0], [0.3, -1.0]))

    def draw(loc: Tensor, log_scale: Tensor) -> Tensor:
        torch.manual_seed(0)
        return LogNormal(loc, log_scale).rsample((3,))

    assert gradcheck(lambda m, s: LogNormal(m, s).log_prob(x), parameters)
    assert gradcheck(draw, parameters)


@pytest.mark.parametrize("loc", [-100.0, 0.0, 100.0])
@pytest.mark.parametrize("log_scale", [-7.0, 0.0, 5.0])
@pytest.mark.parametrize("x", [torch.finfo(torch.float32).tiny, 1.0, torch.finfo(torch.float32).max])
def test_extremes_are_finite_and_draws_legal_in_single_precision(loc: float, log_scale: float, x: float) -> None:
    parameters = [torch.tensor([value], requires_grad=True) for value in (loc, log_scale)]
    px = LogNormal(*parameters)
    density = px.log_prob(torch.tensor([x]))
    gradients = torch.autograd.grad(density.sum(), parameters)
    drawn = px.sample((1_000,))
    assert all(bool(torch.isfinite(t).all()) for t in (density, *gradients, drawn, px.mode))
    assert bool((drawn > 0).all())
    assert bool((px.mode > 0).all())
