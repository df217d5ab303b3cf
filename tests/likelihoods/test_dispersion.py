"""Numbers learned once: they start where they are told to and move at ten times the pace of a weight."""

from __future__ import annotations

import pytest
import torch

from nelbo.likelihoods.dispersion import Learned


@pytest.mark.parametrize("size", [(), (3,), (2, 3)])
def test_they_start_where_they_are_told_to_and_can_be_set(size: tuple[int, ...]) -> None:
    learned = Learned(size, -4.0)
    torch.testing.assert_close(learned(), torch.full(size, -4.0))
    learned.set(1.5)
    torch.testing.assert_close(learned(), torch.full(size, 1.5))


def test_one_step_of_adam_moves_them_by_ten_learning_rates() -> None:
    learned = Learned(())
    optimiser = torch.optim.Adam(learned.parameters(), lr=1e-3)
    learned().backward()
    optimiser.step()
    assert learned().item() == pytest.approx(-1e-2, rel=1e-4)


def test_a_few_hundred_steps_are_enough_to_find_a_small_residual() -> None:
    """The maximum of sum_i log N(x_i; 0, s^2) is at s^2 = mean x_i^2, here exp(-5): a weight would end at -0.5."""
    x = torch.randn(256, 4) * torch.exp(torch.tensor(-2.5))
    learned = Learned((4,))
    optimiser = torch.optim.Adam(learned.parameters(), lr=1e-3)
    for _ in range(900):
        optimiser.zero_grad()
        (0.5 * (x.square().mean(0) * torch.exp(-learned()) + learned())).sum().backward()
        optimiser.step()
    torch.testing.assert_close(learned().detach(), x.square().mean(0).log(), rtol=0, atol=0.05)
