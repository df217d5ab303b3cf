"""Binary codes against torch's own Bernoulli, SciPy, and sums over all of them."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Bernoulli, Independent

from binary_codes import all_codes
from draws import assert_counted_as
from nelbo.distributions import draw_common
from nelbo.distributions.binary_codes import BernoulliCodes


def logits(rows: int = 4, dim: int = 3) -> Tensor:
    return torch.randn(rows, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_masses_are_torchs_and_sum_to_one() -> None:
    q, codes = BernoulliCodes(logits()), all_codes(3).unsqueeze(1)
    assert (q.batch_shape, q.event_shape, q.has_rsample) == ((4,), (3,), False)
    log_q = q.log_prob(codes)  # [8, 4]
    torch.testing.assert_close(log_q.exp().sum(0), torch.ones(4).double())
    torch.testing.assert_close(log_q, Independent(Bernoulli(logits=logits()), 1).log_prob(codes.expand(8, 4, 3)))


def test_draws_follow_their_masses() -> None:
    torch.manual_seed(0)
    q = BernoulliCodes(logits(rows=1))
    masses = q.log_prob(all_codes(3)).exp().numpy()
    common, _ = draw_common(q, 20_000, torch.Generator().manual_seed(1))
    for drawn in (q.sample(torch.Size((20_000,))), common):
        z = drawn[:, 0]
        assert bool(((z == 0) | (z == 1)).all())
        assert_counted_as(z @ torch.tensor([4.0, 2.0, 1.0]).double(), masses, comparisons=2)


def test_a_draw_of_given_noise_is_below_the_probability_in_the_order_of_the_noise() -> None:
    """z = 1 exactly where Phi(noise) < p, with Phi by SciPy."""
    noise = torch.randn(5_000, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    q = BernoulliCodes(logits())
    expected = stats.norm.cdf(noise.numpy()) < q.mean.numpy()
    assert bool((q.from_noise(noise).bool() == torch.from_numpy(expected)).all())


def test_moments_are_those_of_the_masses() -> None:
    q, codes = BernoulliCodes(logits()), all_codes(3)
    weights = q.log_prob(codes.unsqueeze(1)).exp()  # [8, 4]
    mean = torch.einsum("kb,kd->bd", weights, codes)
    torch.testing.assert_close(q.mean, mean)
    torch.testing.assert_close(q.variance, mean - mean.square())
    assert bool((q.log_prob(q.mode.unsqueeze(0)) >= q.log_prob(codes.unsqueeze(1))).all())


@pytest.mark.parametrize("size", [0.0, 30.0, 1e4])
@pytest.mark.parametrize("noise", [-40.0, 0.0, 40.0])
def test_extremes_stay_finite_and_keep_their_digits_in_single_precision(size: float, noise: float) -> None:
    parameter = torch.tensor([[size, -size, 0.0]], requires_grad=True)
    q = BernoulliCodes(parameter)
    z = q.from_noise(torch.tensor([noise, -noise, noise]))
    log_q = q.log_prob(z)
    (gradient,) = torch.autograd.grad(log_q.sum(), parameter)
    assert all(bool(torch.isfinite(part).all()) for part in (z, log_q, gradient, q.mean, q.variance))
    torch.testing.assert_close(
        log_q.double(), BernoulliCodes(parameter.double()).log_prob(z.double()), rtol=1e-6, atol=0
    )


def test_rows_share_their_noise_and_nothing_else() -> None:
    z, log_q = draw_common(BernoulliCodes(logits()), 5, torch.Generator().manual_seed(1))
    alone, log_alone = draw_common(BernoulliCodes(logits()[2:3]), 5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(alone[:, 0], z[:, 2])
    torch.testing.assert_close(log_alone[:, 0], log_q[:, 2])


def test_one_row_is_expanded_to_many() -> None:
    q = BernoulliCodes(logits(rows=1)[0]).expand((7,))
    assert (q.batch_shape, q.event_shape) == ((7,), (3,))
    assert q.sample(torch.Size((2,))).shape == (2, 7, 3)
