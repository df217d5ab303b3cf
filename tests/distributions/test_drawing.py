"""Draws of z, with and without densities, and what gradients flow."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Independent, Normal

from nelbo.core import Draw
from nelbo.distributions import DiagonalNormal, draw_common, rsample_with_log_prob
from nelbo.errors import CompositionError


def q(rows: int = 4) -> tuple[DiagonalNormal, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    loc = torch.randn(rows, 3, generator=generator).requires_grad_()
    log_variance = torch.randn(rows, 3, generator=generator).requires_grad_()
    return DiagonalNormal(loc, log_variance), loc, log_variance


@pytest.mark.parametrize("draw", list(Draw))
def test_draws_and_densities_have_the_shapes_of_the_vocabulary(draw: Draw) -> None:
    z, log_qz = rsample_with_log_prob(q()[0], 5, draw)
    assert z.shape == (5, 4, 3)
    assert log_qz is not None
    assert log_qz.shape == (5, 4)


def test_no_density_is_computed_that_was_not_asked_for() -> None:
    assert rsample_with_log_prob(q()[0], 2, density=False)[1] is None


@pytest.mark.parametrize(("draw", "through_z"), [(Draw.PATHWISE, True), (Draw.STOPPED, True), (Draw.SCORE, False)])
def test_gradients_flow_through_z_where_it_is_reparameterised(draw: Draw, through_z: bool) -> None:
    z, _ = rsample_with_log_prob(q()[0], 2, draw)
    assert z.requires_grad is through_z


def test_a_stopped_density_has_the_gradient_through_z_alone() -> None:
    # With z = m + s e, d log q(z; constants) / dm = -(z - m) / s^2; the full derivative along m is 0.
    dist, loc, _ = q()
    z, log_qz = rsample_with_log_prob(dist, 1, Draw.STOPPED)
    assert log_qz is not None
    (gradient,) = torch.autograd.grad(log_qz.sum(), loc)
    torch.testing.assert_close(gradient, -((z[0] - loc) / dist.variance).detach())
    dist, loc, _ = q()
    _, log_qz = rsample_with_log_prob(dist, 1, Draw.PATHWISE)
    assert log_qz is not None
    (gradient,) = torch.autograd.grad(log_qz.sum(), loc)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-5)


def test_a_score_density_has_the_gradient_of_the_parameters_alone() -> None:
    dist, loc, _ = q()
    z, log_qz = rsample_with_log_prob(dist, 1, Draw.SCORE)
    assert log_qz is not None
    (gradient,) = torch.autograd.grad(log_qz.sum(), loc)
    torch.testing.assert_close(gradient, ((z[0] - loc) / dist.variance).detach())


def test_what_cannot_be_drawn_as_asked_is_refused_with_the_remedy() -> None:
    with pytest.raises(CompositionError, match="no reparameterised draw; use a score function"):
        rsample_with_log_prob(Independent(Bernoulli(torch.full((4, 3), 0.5)), 1), 2)
    with pytest.raises(CompositionError, match=r"cannot hold its parameters constant .* use gradient=pathwise"):
        rsample_with_log_prob(Independent(Normal(torch.zeros(4, 3), 1.0), 1), 2, Draw.STOPPED)


def test_common_noise_makes_a_rows_draws_independent_of_its_neighbours() -> None:
    dist = q()[0]
    whole, log_q = draw_common(dist, 6, torch.Generator().manual_seed(1))
    alone = DiagonalNormal(dist.loc[2:3], dist.log_variance[2:3])
    single, log_q_alone = draw_common(alone, 6, torch.Generator().manual_seed(1))
    assert whole.shape == (6, 4, 3)
    assert log_q.equal(dist.log_prob(whole))
    assert log_q_alone[:, 0].equal(log_q[:, 2])
    assert single[:, 0].equal(whole[:, 2])
    noise = (whole - dist.loc) / dist.stddev
    torch.testing.assert_close(noise, noise[:, :1].expand_as(noise), rtol=1e-4, atol=1e-5)


def test_common_noise_needs_a_draw_from_given_noise() -> None:
    with pytest.raises(CompositionError, match="cannot draw with noise common to all rows"):
        draw_common(Independent(Normal(torch.zeros(4, 3), 1.0), 1), 2, torch.Generator())


def test_opposite_draws_of_a_gaussian_have_its_mean_without_error() -> None:
    dist, loc, _ = q()
    z, log_qz = draw_common(dist, 3, torch.Generator().manual_seed(0), opposite=True)
    assert z.shape == (6, 4, 3)
    torch.testing.assert_close(z.mean(0), loc)
    torch.testing.assert_close(log_qz[:3], log_qz[3:])  # as far from the mean, on the other side
    alone, _ = draw_common(dist, 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(z[:3], alone)
