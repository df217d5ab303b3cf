"""Bounds against their formulas in NumPy and SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import Tensor

from nelbo.core import Batch, Bound, Draw, Terms
from nelbo.distributions import StandardNormal
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives import (
    CombinedBound,
    EvidenceLowerBound,
    ImportanceWeighted,
    LargestWeight,
    MultiplyImportanceWeighted,
    Pathwise,
    RenyiBound,
)
from nelbo.objectives.bounds import log_mean_exp

BOTH = pytest.mark.parametrize("bound", [EvidenceLowerBound(), ImportanceWeighted()], ids=["ELBO", "IW"])


def weights(draws: int = 7, rows: int = 4) -> Tensor:
    return 3 * torch.randn(draws, rows, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_the_lower_bound_is_the_mean_log_weight() -> None:
    np.testing.assert_allclose(EvidenceLowerBound()(weights()), weights().numpy().mean(0))


def test_the_importance_weighted_bound_is_the_log_of_the_mean_weight() -> None:
    expected = logsumexp(weights().numpy(), axis=0, b=1 / 7)
    np.testing.assert_allclose(ImportanceWeighted()(weights()), expected)
    np.testing.assert_allclose(log_mean_exp(weights()), expected)


@BOTH
def test_with_one_draw_a_bound_is_its_log_weight(bound: EvidenceLowerBound | ImportanceWeighted) -> None:
    torch.testing.assert_close(bound(weights(1)), weights(1)[0])


@BOTH
def test_equal_sample_weights_are_the_default(bound: EvidenceLowerBound | ImportanceWeighted) -> None:
    equal = torch.full((7, 4), -math.log(7), dtype=torch.float64)
    torch.testing.assert_close(bound(weights(), equal), bound(weights()))


def test_sample_weights_weigh_the_draws() -> None:
    log_r = torch.log_softmax(weights().flip(0), 0)
    r, w = log_r.exp().numpy(), weights().numpy()
    np.testing.assert_allclose(EvidenceLowerBound()(weights(), log_r), (r * w).sum(0))
    np.testing.assert_allclose(ImportanceWeighted()(weights(), log_r), logsumexp(w, axis=0, b=r))


def test_the_importance_weighted_bound_is_never_below_the_lower_bound() -> None:
    assert bool((ImportanceWeighted()(weights(50, 100)) >= EvidenceLowerBound()(weights(50, 100))).all())


@BOTH
def test_a_constant_factor_of_the_weights_moves_the_bound_by_its_log(
    bound: EvidenceLowerBound | ImportanceWeighted,
) -> None:
    torch.testing.assert_close(bound(weights() - 2000.0), bound(weights()) - 2000.0)


@BOTH
def test_the_pathwise_surrogate_is_the_bound_of_the_log_weights(
    bound: EvidenceLowerBound | ImportanceWeighted,
) -> None:
    parts = [weights().requires_grad_() for _ in range(3)]
    z = torch.zeros(7, 4, 1)
    terms = Terms(z, parts[0], StandardNormal(1, z), log_pz=parts[1], log_qz=2 * parts[2])
    gradient = Pathwise()
    assert gradient.draw is Draw.PATHWISE
    value = gradient(bound, terms.log_weights, terms, Batch(z))
    torch.testing.assert_close(value, bound(parts[0] + parts[1] - 2 * parts[2]))
    first, _, third = torch.autograd.grad(value.sum(), parts)
    share = 1 / 7 if isinstance(bound, EvidenceLowerBound) else torch.softmax(torch.zeros(7, 4).double(), 0)
    torch.testing.assert_close(first, torch.ones_like(first) * share)
    torch.testing.assert_close(third, -2 * first)


SMOOTH = {
    "lower": EvidenceLowerBound(),
    "iwae": ImportanceWeighted(),
    "multiply-iwae": MultiplyImportanceWeighted(3),
    "ciwae": CombinedBound(0.3),
    "ciwae-0": CombinedBound(0.0),
    "ciwae-1": CombinedBound(1.0),
    "renyi": RenyiBound(0.5),
    "renyi-negative": RenyiBound(-1.0),
    "renyi-2": RenyiBound(2.0),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_slopes_are_those_of_autograd(name: str) -> None:
    bound, log_w = SMOOTH[name], (weights(6, 4) / 3).requires_grad_()
    slope, rise = bound.slopes(log_w.detach())
    (first,) = torch.autograd.grad(bound(log_w).sum(), log_w, create_graph=True)
    torch.testing.assert_close(slope, first.detach())
    for k in range(6):
        own = torch.zeros_like(log_w)
        if first.requires_grad:
            (own,) = torch.autograd.grad(first[k].log().sum(), log_w, retain_graph=True, allow_unused=True)
        torch.testing.assert_close(rise[k], torch.zeros(4).double() if own is None else own[k])


@pytest.mark.parametrize("bound", [ImportanceWeighted(), CombinedBound(0.3), RenyiBound(0.5)], ids=["IW", "C", "R"])
def test_slopes_of_weights_that_differ_by_everything_are_finite(bound: Bound) -> None:
    log_w = torch.tensor([[0.0], [-2_000.0], [-80.0]])
    for value in bound.slopes(log_w):
        assert bool(torch.isfinite(value).all())
        assert bool((value >= 0).all() & (value <= 1).all())


def test_sample_weights_weigh_the_slopes() -> None:
    log_r = torch.log_softmax(weights().flip(0), 0)
    for bound in (EvidenceLowerBound(), ImportanceWeighted(), CombinedBound(0.3)):
        log_w = (weights() / 3).requires_grad_()
        (first,) = torch.autograd.grad(bound(log_w, log_r).sum(), log_w)
        torch.testing.assert_close(bound.slopes(log_w.detach(), log_r)[0], first)


def test_the_renyi_bound_falls_with_alpha_from_the_largest_weight_to_the_lower_bound() -> None:
    values = [LargestWeight()(weights())]
    values += [RenyiBound(alpha)(weights()) for alpha in (-50.0, -1.0, 0.0, 0.5, 0.999)]
    values.append(EvidenceLowerBound()(weights()))
    assert all(bool((a >= b - 1e-9).all()) for a, b in itertools.pairwise(values))
    torch.testing.assert_close(RenyiBound(0.0)(weights()), ImportanceWeighted()(weights()))
    torch.testing.assert_close(RenyiBound(1 - 1e-7)(weights()), EvidenceLowerBound()(weights()), rtol=0, atol=1e-5)
    torch.testing.assert_close(RenyiBound(-1e4)(weights()), LargestWeight()(weights()), rtol=0, atol=1e-3)


def test_groups_average_bounds_of_fewer_draws() -> None:
    log_w = weights(6)
    expected = sum(ImportanceWeighted()(part) for part in log_w.split(2)) / 3
    torch.testing.assert_close(MultiplyImportanceWeighted(3)(log_w), expected)
    torch.testing.assert_close(MultiplyImportanceWeighted(1)(log_w), ImportanceWeighted()(log_w))
    torch.testing.assert_close(MultiplyImportanceWeighted(6)(log_w), EvidenceLowerBound()(log_w))


def test_what_a_bound_cannot_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="7 draws cannot be put in 2 groups"):
        MultiplyImportanceWeighted(2)(weights())
    with pytest.raises(ConfigError, match="between 0 and 1"):
        CombinedBound(1.5)
    with pytest.raises(ConfigError, match="alpha = 1 is --objective elbo"):
        RenyiBound(1.0)
    with pytest.raises(CompositionError, match="use gradient=pathwise"):
        LargestWeight().slopes(weights())


EVERY = {
    "ELBO": EvidenceLowerBound(),
    "IW": ImportanceWeighted(),
    "multiply": MultiplyImportanceWeighted(2),
    "combined": CombinedBound(0.3),
    "Renyi": RenyiBound(0.5),
    "largest": LargestWeight(),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("draw", [0, 3])
def test_what_a_draw_has_no_part_in_does_not_move_with_it(name: str, draw: int) -> None:
    """The value less the draw's own part is the same whatever its weight: left out, it takes no mean along."""
    bound, log_w = EVERY[name], weights(6)
    moved = log_w.clone()
    moved[draw] += torch.tensor([-2.0, 0.5, 1.0, 4.0], dtype=torch.float64)
    rest = [bound(w) - bound.own(w)[draw] for w in (log_w, moved)]
    torch.testing.assert_close(rest[0], rest[1], rtol=0, atol=1e-12)
    assert bound.own(log_w).shape == log_w.shape


def test_a_draw_has_a_part_in_its_own_term_or_group_alone() -> None:
    log_w = weights(6)
    torch.testing.assert_close(EvidenceLowerBound().own(log_w), log_w / 6)
    first = log_mean_exp(log_w[:3]) / 2
    torch.testing.assert_close(MultiplyImportanceWeighted(2).own(log_w)[:3], first.expand(3, -1))
