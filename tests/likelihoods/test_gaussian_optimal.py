"""The Gaussian whose variance is in closed form: Rybkin et al. (2021), arXiv:2006.13202."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from torch import Tensor

from nelbo.core import Batch, Likelihood
from nelbo.likelihoods import GaussianLikelihood
from nelbo.likelihoods.running_variance import RunningVariance
from nelbo.networks import MLP

SHAPE = (2, 3)
CELLS = 6
SHIFT, SCALE = [0.0, 1, 2, 3, 4, 5], [1.0, 2, 3, 4, 5, 6]


def likelihood() -> GaussianLikelihood:
    torch.manual_seed(0)
    network = MLP(2, CELLS, hidden=(4,), activation="tanh")
    return GaussianLikelihood(network, SHAPE, sigma="optimal", shift=SHIFT, scale=SCALE).double()


def data(rows: int, seed: int = 1) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(3 + 5 * torch.randn(rows, *SHAPE, generator=generator, dtype=torch.float64))


def latents(draws: int, rows: int) -> Tensor:
    return torch.randn(draws, rows, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def residuals(part: GaussianLikelihood, z: Tensor, batch: Batch) -> np.ndarray:
    """In scaled units, [K, B, P]."""
    means = part.get_submodule("network")(z.flatten(0, 1)).detach().view(*z.shape[:2], CELLS).numpy()
    return (batch.x.flatten(1).numpy() - np.array(SHIFT)) / np.array(SCALE) - means


@pytest.mark.parametrize("draws", [1, 3])
def test_in_training_it_is_the_gaussian_whose_one_variance_fits_the_batch_best(draws: int) -> None:
    part, batch, z = likelihood(), data(5), latents(draws, 5)
    scaled = residuals(part, z, batch)

    def total(log_sigma: float) -> float:
        return float(-stats.norm(0, np.exp(log_sigma)).logpdf(scaled).sum())

    best = optimize.minimize_scalar(total, bounds=(-5, 5), method="bounded", options={"xatol": 1e-10})
    expected = stats.norm(0, np.exp(best.x)).logpdf(scaled).sum(-1) - np.log(SCALE).sum()
    found = part.log_px(z, batch).detach().numpy()
    # The floor adds exp(-14) to a variance of about 10.
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.sum() == pytest.approx(-best.fun - draws * 5 * np.log(SCALE).sum(), rel=1e-9)


def test_gradients_are_those_of_the_maximum_over_the_variance() -> None:
    part, batch, z = likelihood(), data(5), latents(3, 5)
    found = torch.autograd.grad(part.log_px(z, batch).sum(), list(part.parameters()))
    means = part.get_submodule("network")(z.flatten(0, 1)).view(3, 5, *SHAPE)
    squares = ((batch.x - part.shift) / part.scale - means).square()
    variance = squares.mean() + np.exp(-14)  # with its gradient
    direct = (-0.5 * squares / variance - 0.5 * variance.log()).sum()
    for one, other in zip(found, torch.autograd.grad(direct, list(part.parameters())), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-8)


def test_evaluation_uses_the_average_over_the_batches_of_training() -> None:
    part, z = likelihood(), latents(1, 5)
    errors = []
    for seed in range(4):
        errors.append((residuals(part, z, data(5, seed)) ** 2).mean())
        part.log_px(z, data(5, seed))
    part.eval()
    batch = data(5, 9)
    expected = stats.norm(0, np.sqrt(np.mean(errors) + np.exp(-14))).logpdf(residuals(part, z, batch)).sum(-1)
    np.testing.assert_allclose(part.log_px(z, batch).detach(), expected - np.log(SCALE).sum(), rtol=1e-9)
    torch.testing.assert_close(part.log_px(z, batch), Likelihood.log_px(part, z, batch))
    spread = part(z[0]).variance[0].flatten().detach()
    np.testing.assert_allclose(spread, (np.mean(errors) + np.exp(-14)) * np.array(SCALE) ** 2, rtol=1e-9)


def test_evaluation_moves_nothing_and_a_row_does_not_depend_on_its_neighbours() -> None:
    part, z, batch = likelihood(), latents(2, 5), data(5)
    part.log_px(z, batch)
    part.eval()
    before = {name: value.clone() for name, value in part.state_dict().items()}
    together = part.log_px(z, batch)
    torch.testing.assert_close(part.log_px(z[:, :1], batch[0:1]), together[:, :1])
    assert all(before[name].equal(value) for name, value in part.state_dict().items())


def test_missing_cells_leave_no_trace_in_the_variance() -> None:
    part, z, batch = likelihood(), latents(2, 5), data(5)
    mask = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(4)) < 0.6
    found = part.log_px(z, replace(batch, mask=mask)).detach().numpy()
    seen = mask.flatten(1).numpy()
    scaled = residuals(part, z, batch)
    variance = (scaled**2)[:, seen].mean() + np.exp(-14)
    cells = stats.norm(0, np.sqrt(variance)).logpdf(scaled) - np.log(SCALE)
    np.testing.assert_allclose(found, (cells * seen).sum(-1), rtol=1e-9)
    other = replace(batch, x=torch.where(mask, batch.x, 77.0), mask=mask)
    np.testing.assert_allclose(part.log_px(z, other).detach(), found, rtol=1e-9)


def test_the_log_jacobian_is_added_once_a_cell() -> None:
    part, z, batch = likelihood(), latents(2, 5), data(5)
    plain = part.log_px(z, batch)
    moved = part.log_px(z, replace(batch, log_jacobian=torch.tensor(-0.5).double()))
    torch.testing.assert_close(moved, plain - 0.5 * CELLS)


def test_ten_batches_are_averaged_evenly_and_then_the_last_has_a_tenth() -> None:
    running = RunningVariance().double()
    squares = [float(n) for n in range(1, 13)]
    for value in squares:
        running(torch.full((1, 2, 3), value).double())
    expected = sum(squares[:10]) / 10
    for value in squares[10:]:
        expected += 0.1 * (value - expected)
    assert float(running.average().exp()) == pytest.approx(expected + np.exp(-14), rel=1e-9)
    assert int(running.batches) == 12


def test_perfect_reconstructions_stop_at_the_floor() -> None:
    running = RunningVariance(min_log_variance=-9.0)
    found = running(torch.zeros(1, 2, 3))
    assert float(found) == pytest.approx(-9.0, abs=1e-5)
    assert float(running.average()) == pytest.approx(-9.0, abs=1e-5)
