"""Relaxed one-hot codes against torch's own, quadrature, and the logistic law of two categories."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.autograd import gradcheck
from torch.distributions.relaxed_categorical import ExpRelaxedCategorical

from nelbo.distributions import draw_common
from nelbo.distributions.concrete import LogConcrete

TEMPERATURES = pytest.mark.parametrize("temperature", [0.1, 2 / 3, 3.0])


def logits(rows: int = 4, groups: int = 2, n: int = 3) -> Tensor:
    return torch.randn(rows, groups, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@TEMPERATURES
def test_the_density_is_torchs_summed_over_groups(temperature: float) -> None:
    q = LogConcrete(logits(), temperature)
    y = q.rsample((5,))
    assert (q.batch_shape, q.event_shape, y.shape) == ((4,), (6,), (5, 4, 6))
    peer = ExpRelaxedCategorical(torch.tensor(temperature).double(), logits=q.logits)
    torch.testing.assert_close(q.log_prob(y), peer.log_prob(y.view(5, 4, 2, 3)).sum(-1))


@TEMPERATURES
def test_the_density_of_two_categories_integrates_to_one(temperature: float) -> None:
    q = LogConcrete(torch.tensor([[0.7, -0.4]]).double(), temperature)

    def density(t: float) -> float:
        """Over t = y_1 - y_2, the reference measure."""
        y = torch.tensor([-np.logaddexp(0, -t), -np.logaddexp(0, t)])
        return float(q.log_prob(y).exp())

    middle = 1.1 / temperature
    total = integrate.quad(density, middle - 60 / temperature, middle + 60 / temperature, points=[middle], limit=200)[0]
    assert total == pytest.approx(1.0, abs=1e-8)


def test_the_density_of_three_categories_integrates_to_one() -> None:
    q = LogConcrete(logits(rows=1, groups=1), 0.8)
    axis = torch.linspace(-40, 40, 801, dtype=torch.float64)
    ratios = torch.stack([*torch.meshgrid(axis, axis, indexing="ij"), torch.zeros(801, 801, dtype=torch.float64)], -1)
    total = float(q.log_prob(torch.log_softmax(ratios, -1)).exp().sum()) * float(axis[1] - axis[0]) ** 2
    assert total == pytest.approx(1.0, abs=1e-6)


@TEMPERATURES
def test_two_categories_are_a_logistic_and_any_group_sums_to_one(temperature: float) -> None:
    torch.manual_seed(0)
    y = LogConcrete(torch.tensor([[0.7, -0.4]]).double(), temperature).rsample((20_000,))
    torch.testing.assert_close(y.exp().sum(-1), torch.ones(20_000).double())
    found = stats.kstest(temperature * (y[:, 0] - y[:, 1]).numpy() - 1.1, stats.logistic().cdf)
    assert found.pvalue > 1e-3 / 3


@TEMPERATURES
def test_the_largest_entry_has_the_probability_of_its_category(temperature: float) -> None:
    torch.manual_seed(0)
    q = LogConcrete(logits(rows=1), temperature)
    y = q.rsample((20_000,)).view(-1, 2, 3)
    counts = torch.nn.functional.one_hot(y.argmax(-1), 3).double().mean(0)
    expected = torch.softmax(q.logits[0], -1)
    error = (expected * (1 - expected) / 20_000).sqrt()
    assert float(error.max()) < 0.005
    assert bool(((counts - expected).abs() < 4.5 * error).all())


def test_gradients_are_finite_differences() -> None:
    parameter = logits(rows=2).requires_grad_()
    y = LogConcrete(parameter, 0.7).sample()
    noise = torch.randn(3, 1, 6, dtype=torch.float64)
    assert gradcheck(lambda a: LogConcrete(a, 0.7).log_prob(y), (parameter,))
    assert gradcheck(lambda a: LogConcrete(a, 0.7).from_noise(noise), (parameter,))


@pytest.mark.parametrize("temperature", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("size", [0.0, 1e4])
@pytest.mark.parametrize("noise", [-9.0, 0.0, 9.0, 40.0])
def test_extremes_stay_finite_in_single_precision(temperature: float, size: float, noise: float) -> None:
    parameter = torch.tensor([[size, -size, 0.0]], requires_grad=True)
    q = LogConcrete(parameter, temperature)
    y = q.from_noise(torch.tensor([noise, 0.0, -noise]))
    log_q = q.log_prob(y)
    (gradient,) = torch.autograd.grad(log_q.sum(), parameter)
    assert all(bool(torch.isfinite(part).all()) for part in (y, log_q, gradient))


def test_moments_are_those_of_fixed_draws() -> None:
    torch.manual_seed(3)
    q = LogConcrete(logits(), 0.7)
    drawn = q.rsample((20_000,))
    assert bool(((drawn.mean(0) - q.mean).abs() < 4.5 * (q.variance / 256).sqrt()).all())
    torch.testing.assert_close(q.mean, q.mean)


def test_rows_share_their_noise_and_nothing_else() -> None:
    y, log_q = draw_common(LogConcrete(logits(), 0.7), 5, torch.Generator().manual_seed(1))
    alone, log_alone = draw_common(LogConcrete(logits()[2:3], 0.7), 5, torch.Generator().manual_seed(1))
    torch.testing.assert_close(alone[:, 0], y[:, 2])
    torch.testing.assert_close(log_alone[:, 0], log_q[:, 2])


def test_a_stopped_density_is_the_same_without_its_gradient() -> None:
    q = LogConcrete(logits().requires_grad_(), 0.7)
    y = q.sample()
    torch.testing.assert_close(q.stopped().log_prob(y), q.log_prob(y))
    assert not q.stopped().log_prob(y).requires_grad
