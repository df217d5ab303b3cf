"""Coupled colours: the masses of a pixel add up, and draws, means and modes follow them."""

from __future__ import annotations

import itertools
import math

import torch

from nelbo.distributions.coupled_colours import CoupledColours
from nelbo.distributions.discretized_logistic import DiscretizedLogistic

LEVELS, COMPONENTS = 5, 3


def pixel(coupling: float = 0.7, seed: int = 0) -> CoupledColours:
    """One pixel of five levels."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=g, dtype=torch.float64)

    shape = (1, 3, 1, 1, COMPONENTS)
    return CoupledColours(
        normal(1, 1, 1, COMPONENTS), 2 + normal(*shape), 0.3 * normal(*shape) - 0.5, coupling * normal(*shape), LEVELS
    )


def every_pixel() -> torch.Tensor:
    """All 125 pixels, [125, 1, 3, 1, 1]."""
    triples = list(itertools.product(range(LEVELS), repeat=3))
    return torch.tensor(triples, dtype=torch.float64).view(-1, 1, 3, 1, 1)


def test_the_masses_of_all_pixels_sum_to_one() -> None:
    assert abs(float(pixel().log_prob(every_pixel()).exp().sum()) - 1) < 1e-12


def test_one_component_is_the_chain_rule_written_out() -> None:
    loc = torch.tensor([1.0, 2.5, 3.0], dtype=torch.float64).view(1, 3, 1, 1, 1)
    log_scale = torch.tensor([0.1, -0.4, -0.2], dtype=torch.float64).view(1, 3, 1, 1, 1)
    alpha, beta, gamma = 0.5, -0.3, 0.8
    coupling = torch.tensor([alpha, beta, gamma], dtype=torch.float64).view(1, 3, 1, 1, 1)
    px = CoupledColours(torch.zeros(1, 1, 1, 1, dtype=torch.float64), loc, log_scale, coupling, LEVELS)
    for red, green, blue in ((0.0, 4.0, 2.0), (3.0, 1.0, 0.0)):
        shifted = (1.0, 2.5 + alpha * (red - 2), 3.0 + beta * (red - 2) + gamma * (green - 2))
        value = torch.tensor([red, green, blue], dtype=torch.float64).view(1, 3, 1, 1)
        colours = DiscretizedLogistic(torch.tensor(shifted, dtype=torch.float64), log_scale.flatten(), LEVELS)
        expected = float(colours.log_prob(value.flatten()).sum())
        assert abs(float(px.log_prob(value)) - expected) < 1e-12


def test_draws_have_the_frequencies_of_the_masses() -> None:
    torch.manual_seed(0)
    px, draws = pixel(), 200_000
    x = px.sample((draws,))
    assert x.shape == (draws, 1, 3, 1, 1)
    code = (x.flatten(1) @ torch.tensor([25.0, 5.0, 1.0], dtype=torch.float64)).long()
    seen = torch.bincount(code, minlength=125) / draws
    mass = px.log_prob(every_pixel()).exp().flatten()
    z = (seen - mass).abs() / (mass * (1 - mass) / draws).sqrt()
    assert float(z.max()) < 4.5  # 125 comparisons


def test_the_mean_is_that_of_the_masses_where_colours_are_not_coupled() -> None:
    px = pixel(coupling=0.0)
    mass = px.log_prob(every_pixel()).exp().view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(px.mean, (mass * every_pixel()).sum(0))


def test_the_mean_is_that_of_the_masses_far_from_the_ends() -> None:
    shape = (1, 3, 1, 1, 1)
    coupling = torch.tensor([0.6, -0.4, 0.5], dtype=torch.float64).view(shape)
    loc = torch.tensor([20.0, 25.0, 18.0], dtype=torch.float64).view(shape)
    px = CoupledColours(torch.zeros(1, 1, 1, 1).double(), loc, torch.full(shape, -0.5).double(), coupling, levels=41)
    every = torch.cartesian_prod(*[torch.arange(41.0, dtype=torch.float64)] * 3).view(-1, 1, 3, 1, 1)
    mass = px.log_prob(every).exp().view(-1, 1, 1, 1, 1)
    torch.testing.assert_close(px.mean, (mass * every).sum(0), atol=1e-5, rtol=0)


def test_the_mode_takes_each_colour_given_those_before() -> None:
    px = pixel()
    mass = px.log_prob(every_pixel()).exp().view(LEVELS, LEVELS, LEVELS)
    red = int(mass.sum((1, 2)).argmax())
    green = int(mass[red].sum(1).argmax())
    blue = int(mass[red, green].argmax())
    assert px.mode.flatten().tolist() == [red, green, blue]


def test_extreme_parameters_stay_finite_in_single_precision() -> None:
    for scale, loc, coupling in itertools.product((-7.0, 6.0), (-1e4, 0.0, 255.0, 1e4), (-1.0, 1.0)):
        shape = (1, 3, 2, 2, 2)
        leaf = torch.full(shape, loc, requires_grad=True)
        px = CoupledColours(
            torch.zeros(1, 2, 2, 2), leaf, torch.full(shape, scale), torch.full(shape, coupling), levels=256
        )
        for level in (0.0, 128.0, 255.0):
            total = px.log_prob(torch.full((1, 3, 2, 2), level)).sum()
            (gradient,) = torch.autograd.grad(total, leaf)
            assert math.isfinite(float(total.detach()))
            assert bool(torch.isfinite(gradient).all())
