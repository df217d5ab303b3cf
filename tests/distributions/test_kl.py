"""Closed-form rates against torch's own and against Monte Carlo."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution, Normal, kl_divergence

from nelbo.distributions import DiagonalNormal, LogitBernoulli, StandardNormal, rate


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pairs() -> list[tuple[str, DiagonalNormal, Distribution]]:
    q = DiagonalNormal(random(5, 3, seed=0), random(5, 3, seed=1))
    return [
        ("standard", q, StandardNormal(3, q.loc)),
        ("diagonal", q, DiagonalNormal(random(5, 3, seed=2), random(5, 3, seed=3))),
        ("one diagonal for all rows", q, DiagonalNormal(random(3, seed=4), random(3, seed=5))),
    ]


EVERY = pytest.mark.parametrize(("q", "p"), [pair[1:] for pair in pairs()], ids=[pair[0] for pair in pairs()])


@EVERY
def test_rates_are_torchs_divergences_per_dimension(q: DiagonalNormal, p: Distribution) -> None:
    found = rate(q, p)
    assert found is not None
    assert found.shape == (3, 5)  # [D, B]
    peer = kl_divergence(Normal(q.mean, q.stddev), Normal(p.mean, p.variance.sqrt()))
    torch.testing.assert_close(found, peer.T)


@EVERY
def test_rates_are_what_monte_carlo_finds(q: DiagonalNormal, p: Distribution) -> None:
    torch.manual_seed(0)
    z = q.rsample((200_000,))
    draws = q.log_prob(z) - p.log_prob(z)
    error = draws.std(0) / math.sqrt(len(draws))
    found = rate(q, p)
    assert found is not None
    assert float(error.max()) < 0.05, "the test has no power: the standard error is too large"
    assert float(((draws.mean(0) - found.sum(0)) / error).abs().max()) < 4.5


def test_the_rate_of_a_distribution_to_itself_is_zero_and_else_positive() -> None:
    q = DiagonalNormal(random(5, 3, seed=0), random(5, 3, seed=1))
    assert rate(q, q) is not None
    torch.testing.assert_close(rate(q, q), torch.zeros(3, 5).double())
    for _, _, p in pairs():
        found = rate(q, p)
        assert found is not None
        assert bool((found > 0).all())


def test_rates_have_gradients_of_finite_differences() -> None:
    parameters = tuple(random(2, 3, seed=i).requires_grad_() for i in range(4))

    def both(m: Tensor, v: Tensor, n: Tensor, w: Tensor) -> Tensor:
        q = DiagonalNormal(m, v)
        first, second = rate(q, StandardNormal(3, m)), rate(q, DiagonalNormal(n, w))
        assert first is not None
        assert second is not None
        return torch.stack([first, second])

    assert torch.autograd.gradcheck(both, parameters)


def test_a_pair_without_a_closed_form_is_said_to_have_none() -> None:
    assert rate(LogitBernoulli(torch.zeros(2, 3)), StandardNormal(3, torch.zeros(()))) is None
