"""The ordinal likelihood: differences of a distribution function, thresholds in order, odds that are proportional."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import expit, logit
from torch import Tensor, nn
from torch.autograd import gradcheck

from nelbo.likelihoods import OrdinalLikelihood
from nelbo.likelihoods.ordinal import cumulative_log_mass

CELLS = 3
EACH = pytest.mark.parametrize("levels", [2, 3, 7, 31])


def likelihood(levels: int, moved: bool = True) -> OrdinalLikelihood:
    torch.manual_seed(0)
    part = OrdinalLikelihood(nn.Linear(2, CELLS), (CELLS,), levels=levels).double()
    if moved:
        with torch.no_grad():
            for parameter in part.parameters():
                parameter.add_(torch.randn_like(parameter))
    return part


def masses(part: OrdinalLikelihood, z: Tensor) -> Tensor:
    """[N, cells, L]"""
    px = part(z)
    return torch.stack([px.log_prob(torch.full((len(z), CELLS), float(k))).exp() for k in range(part.levels)], -1)


@EACH
def test_every_level_is_as_probable_at_the_start(levels: int) -> None:
    part = likelihood(levels, moved=False)
    nn.init.zeros_(part.get_parameter("network.weight"))
    nn.init.zeros_(part.get_parameter("network.bias"))
    np.testing.assert_allclose(masses(part, torch.zeros(1, 2).double()).detach(), 1 / levels, rtol=1e-5)


@EACH
def test_masses_are_differences_of_the_logistic_distribution_function(levels: int) -> None:
    part, z = likelihood(levels), torch.randn(5, 2, dtype=torch.float64)
    found = masses(part, z).detach()
    loc = part.get_submodule("network")(z).detach().numpy()[..., None]
    start = logit(np.arange(1, levels) / levels)
    first = part.first.detach().numpy()[:, None] + start[0]
    raw = np.zeros((CELLS, 0)) if part.raw_gaps is None else part.raw_gaps.detach().numpy()
    gaps = np.diff(start) * np.exp(10 * np.tanh(raw / 10))
    thresholds = np.concatenate([first, first + gaps.cumsum(-1)], -1)
    cumulative = expit(np.concatenate(
        [np.full((5, CELLS, 1), -np.inf), thresholds - loc, np.full((5, CELLS, 1), np.inf)], -1
    ))  # fmt: skip
    np.testing.assert_allclose(found, np.diff(cumulative), rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-10)


def test_z_moves_all_cumulative_odds_by_one_factor() -> None:
    part = likelihood(7)
    cumulative = masses(part, torch.randn(2, 2, dtype=torch.float64)).detach().cumsum(-1)[..., :-1]
    ratios = torch.logit(cumulative[0]) - torch.logit(cumulative[1])
    torch.testing.assert_close(ratios, ratios[:, :1].expand_as(ratios), rtol=1e-8, atol=1e-8)


def test_gradients_are_finite_differences() -> None:
    loc = torch.tensor([0.3, -2.0], dtype=torch.float64, requires_grad=True)
    first = torch.tensor([-1.0, 0.5], dtype=torch.float64, requires_grad=True)
    gaps = torch.tensor([[0.3, 1e-3, 2.0], [1.0, 0.5, 4.0]], dtype=torch.float64, requires_grad=True)

    def score(loc: Tensor, first: Tensor, gaps: Tensor) -> Tensor:
        start = first.unsqueeze(-1)
        return cumulative_log_mass(loc, torch.cat([start, start + gaps.cumsum(-1)], -1), gaps)

    assert gradcheck(score, (loc, first, gaps))


@pytest.mark.parametrize("loc", [-1e4, 0.0, 1e4])
@pytest.mark.parametrize("raw", [-1e4, 1e4])
def test_extremes_are_finite_and_in_order_in_single_precision(loc: float, raw: float) -> None:
    part = likelihood(7, moved=False).float()
    assert part.raw_gaps is not None
    with torch.no_grad():
        part.get_parameter("network.bias").fill_(loc)
        part.raw_gaps.fill_(raw)
    px = part(torch.zeros(1, 2))
    value = torch.stack([px.log_prob(torch.full((1, CELLS), float(k))) for k in range(7)])
    gradients = torch.autograd.grad(value.sum(), list(part.parameters()))
    assert all(bool(torch.isfinite(t).all()) for t in (value, *gradients))
    assert bool((part.gaps() > 0).all())
    assert float(value.detach().max()) <= math.ulp(1.0)


@EACH
def test_draws_and_modes_are_levels(levels: int) -> None:
    part = likelihood(levels)
    px = part(torch.randn(50, 2, dtype=torch.float64))
    for x in (px.sample(), part.mode(px)):
        assert set(x.flatten().tolist()) <= set(range(levels))
