"""A table put together from families: every column is scored, drawn and averaged by its own."""

from __future__ import annotations

import numpy as np
import torch
from scipy import stats
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions.bernoulli import LogitBernoulli
from nelbo.distributions.by_column import ByColumn
from nelbo.distributions.levels import Levels
from nelbo.distributions.log_normal import LogNormal
from nelbo.distributions.normal import ElementwiseNormal

ORDER = torch.tensor([4, 0, 2, 3, 1])  # Gaussian: 4 and 0; Bernoulli: 2; levels: 3; log-normal: 1
LOC = torch.tensor([[1.0, -2.0], [0.5, 30.0]], dtype=torch.float64)
LOGIT = torch.tensor([[0.3], [-2.0]], dtype=torch.float64)
WEIGHTS = torch.tensor([[[0.0, 1.0, -1.0]], [[2.0, 0.0, 0.5]]], dtype=torch.float64)
LOG_LOC = torch.tensor([[0.2], [-1.0]], dtype=torch.float64)


def table(loc: Tensor = LOC, logit: Tensor = LOGIT, weights: Tensor = WEIGHTS, log_loc: Tensor = LOG_LOC) -> ByColumn:
    half = torch.tensor(0.5, dtype=torch.float64)
    parts = [ElementwiseNormal(loc, half), LogitBernoulli(logit), Levels(weights), LogNormal(log_loc, half.log())]
    return ByColumn(parts, ORDER)


VALUES = torch.tensor([[-1.5, 0.7, 1.0, 2.0, 1.2], [29.0, 3.0, 0.0, 0.0, 0.5]], dtype=torch.float64)


def test_every_cell_is_scored_by_scipys_law_of_its_column() -> None:
    x, found = VALUES.numpy(), table().log_prob(VALUES).numpy()
    loc, logit, log_loc = LOC.numpy(), LOGIT.numpy(), LOG_LOC.numpy()
    expected = np.column_stack(
        [
            stats.norm(loc[:, 1], 0.5).logpdf(x[:, 0]),
            stats.lognorm(0.5, scale=np.exp(log_loc[:, 0])).logpdf(x[:, 1]),
            stats.bernoulli(1 / (1 + np.exp(-logit[:, 0]))).logpmf(x[:, 2]),
            [np.log(np.exp(w)[int(k)] / np.exp(w).sum()) for w, k in zip(WEIGHTS[:, 0].numpy(), x[:, 3], strict=True)],
            stats.norm(loc[:, 0], 0.5).logpdf(x[:, 4]),
        ]
    )
    assert table().batch_shape == (2, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_masses_sum_and_densities_integrate_to_1() -> None:
    grid = torch.linspace(-60, 90, 600_001, dtype=torch.float64)
    rows = grid.clamp(min=1e-9).view(-1, 1, 1).expand(-1, 2, 5).clone()
    rows[..., [0, 4]] = grid.view(-1, 1, 1).expand(-1, 2, 2)
    rows[..., [2, 3]] = 0.0
    density = table().log_prob(rows).exp()
    np.testing.assert_allclose(torch.trapezoid(density[..., [0, 4]], grid, dim=0), 1.0, atol=1e-6)
    positive = grid > 0
    np.testing.assert_allclose(torch.trapezoid(density[positive][..., 1], grid[positive], dim=0), 1.0, atol=1e-6)
    levels = torch.arange(3.0).double().view(-1, 1, 1).expand(-1, 2, 5).clamp(min=1e-9)
    mass = table().log_prob(levels.round().where(levels > 0.5, levels)).exp()
    np.testing.assert_allclose(mass[:, :, 3].sum(0), 1.0, atol=1e-12)
    np.testing.assert_allclose(mass[:2, :, 2].sum(0), 1.0, atol=1e-12)


def test_draws_have_the_means_and_the_laws_of_their_columns() -> None:
    drawn = table().sample((20_000,))
    assert drawn.shape == (20_000, 2, 5)
    error = drawn.std(0) / len(drawn) ** 0.5
    assert bool(((drawn.mean(0) - table().mean).abs() < 4.5 * error).all())
    assert stats.kstest(drawn[:, 1, 0], stats.norm(30, 0.5).cdf).pvalue > 1e-4
    assert stats.kstest(drawn[:, 0, 1], stats.lognorm(0.5, scale=np.exp(0.2)).cdf).pvalue > 1e-4
    assert set(drawn[..., 2].unique().tolist()) == {0.0, 1.0}
    assert set(drawn[..., 3].unique().tolist()) == {0.0, 1.0, 2.0}


def test_gradients_are_finite_differences() -> None:
    inputs = tuple(t.clone().requires_grad_() for t in (LOC, LOGIT, WEIGHTS, LOG_LOC))
    assert gradcheck(lambda *each: table(*each).log_prob(VALUES), inputs)
