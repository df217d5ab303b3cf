"""One-hot codes against their masses, torch's own, and the gradient of the relaxation."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import OneHotCategorical, RelaxedOneHotCategorical

from draws import assert_counted_as
from nelbo.core import Draw
from nelbo.distributions import draw_common, rsample_with_log_prob
from nelbo.distributions.location_scale import standard_gumbel
from nelbo.distributions.one_hot import StraightThroughOneHot


def logits(rows: int = 4, groups: int = 2, n: int = 3) -> Tensor:
    return torch.randn(rows, groups, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def codes(groups: int = 2, n: int = 3) -> Tensor:
    """All of them, [n^G, D]."""
    places = torch.tensor(list(itertools.product(range(n), repeat=groups)))
    return F.one_hot(places, n).flatten(-2).double()


def test_masses_are_torchs_and_sum_to_one() -> None:
    q = StraightThroughOneHot(logits(), 0.7)
    log_q = q.log_prob(codes().unsqueeze(1))  # [9, 4]
    torch.testing.assert_close(log_q.exp().sum(0), torch.ones(4).double())
    peer = OneHotCategorical(logits=logits()).log_prob(codes().view(9, 1, 2, 3)).sum(-1)
    torch.testing.assert_close(log_q, peer)


@pytest.mark.parametrize("temperature", [0.1, 3.0])
def test_draws_are_exactly_one_hot_and_follow_their_masses(temperature: float) -> None:
    q = StraightThroughOneHot(logits(rows=1, groups=1), temperature)
    common, _ = draw_common(q, 20_000, torch.Generator().manual_seed(1))
    for drawn in (q.rsample((20_000,)), common):
        z = drawn[:, 0]
        assert bool(((z == 0) | (z == 1)).all())
        assert bool((z.sum(-1) == 1).all())
        assert_counted_as(z.argmax(-1), torch.softmax(q.logits[0, 0], -1).numpy(), comparisons=4)


def test_moments_are_those_of_the_masses() -> None:
    q = StraightThroughOneHot(logits(), 0.7)
    weights = q.log_prob(codes().unsqueeze(1)).exp()  # [9, 4]
    mean = torch.einsum("kb,kd->bd", weights, codes())
    torch.testing.assert_close(q.mean, mean)
    torch.testing.assert_close(q.variance, torch.einsum("kb,kd->bd", weights, codes().square()) - mean.square())


def test_the_gradient_of_a_draw_is_that_of_torchs_relaxation_at_the_same_noise() -> None:
    parameter, noise = logits().requires_grad_(), torch.randn(4, 6, dtype=torch.float64)
    weights = torch.randn(4, 6, dtype=torch.float64)
    (found,) = torch.autograd.grad((weights * StraightThroughOneHot(parameter, 0.7).from_noise(noise)).sum(), parameter)
    relaxed = RelaxedOneHotCategorical(torch.tensor(0.7).double(), logits=parameter)
    gumbel = standard_gumbel(noise).view(4, 2, 3)
    soft = torch.softmax((relaxed.logits + gumbel) / relaxed.temperature, -1).flatten(-2)
    (expected,) = torch.autograd.grad((weights * soft).sum(), parameter)
    torch.testing.assert_close(found, expected)
    assert bool(found.any())


def test_a_score_function_gradient_is_unbiased() -> None:
    """Of E[f(z)], by the logarithm of the mass; the gradient through a draw is biased."""
    parameter = logits(rows=1, groups=1).requires_grad_()
    f = torch.tensor([1.0, -2.0, 5.0]).double()
    (expected,) = torch.autograd.grad((torch.softmax(parameter, -1) * f).sum(), parameter)
    wide = parameter.expand(40_000, 1, 3)
    z, log_q = rsample_with_log_prob(StraightThroughOneHot(wide, 0.7), 1, Draw.SCORE)
    assert not z.requires_grad
    assert log_q is not None
    scores = torch.autograd.grad(((z @ f) * log_q).sum(), wide)[0][:, 0]
    error = scores.std(0) / 200
    assert float(error.max()) < 0.05
    assert bool(((scores.mean(0) - expected[0, 0]).abs() < 4.5 * error).all())


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("size", [0.0, 1e4])
@pytest.mark.parametrize("noise", [-9.0, 0.0, 40.0])
def test_extremes_stay_finite_in_single_precision(temperature: float, size: float, noise: float) -> None:
    parameter = torch.tensor([[size, -size, 0.0]], requires_grad=True)
    q = StraightThroughOneHot(parameter, temperature)
    z = q.from_noise(torch.tensor([noise, 0.0, -noise]))
    log_q = q.log_prob(z)
    (gradient,) = torch.autograd.grad(log_q.sum(), parameter)
    assert all(bool(torch.isfinite(part).all()) for part in (z, log_q, gradient))


def test_rows_share_their_noise_and_nothing_else() -> None:
    z, log_q = draw_common(StraightThroughOneHot(logits(), 0.7), 5, torch.Generator().manual_seed(1))
    alone, log_alone = draw_common(StraightThroughOneHot(logits()[2:3], 0.7), 5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(alone[:, 0], z[:, 2])
    torch.testing.assert_close(log_alone[:, 0], log_q[:, 2])


def test_a_stopped_mass_has_no_gradient_of_the_logits() -> None:
    q = StraightThroughOneHot(logits().requires_grad_(), 0.7)
    assert not q.stopped().log_prob(q.sample()).requires_grad
