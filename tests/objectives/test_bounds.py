"""Bounds against their formulas in NumPy and SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from torch import Tensor

from nelbo.core import Draw, Terms, log_mean_exp
from nelbo.distributions import StandardNormal
from nelbo.objectives import EvidenceLowerBound, ImportanceWeighted, Pathwise

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
    value = gradient(bound, terms)
    torch.testing.assert_close(value, bound(parts[0] + parts[1] - 2 * parts[2]))
    first, _, third = torch.autograd.grad(value.sum(), parts)
    share = 1 / 7 if isinstance(bound, EvidenceLowerBound) else torch.softmax(torch.zeros(7, 4).double(), 0)
    torch.testing.assert_close(first, torch.ones_like(first) * share)
    torch.testing.assert_close(third, -2 * first)
