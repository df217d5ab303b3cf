"""The tail of importance weights: laws whose tail is known, and SciPy's maximum likelihood fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from nelbo.evaluate.pareto import pareto_k


@pytest.mark.parametrize("shape", [0.1, 0.3, 0.5, 0.7, 1.0, 1.5])
def test_the_shape_of_a_pareto_law_is_found(shape: float) -> None:
    draws = stats.genpareto(shape).rvs((10_000, 40), random_state=0)
    found = pareto_k(torch.from_numpy(np.log(draws)))
    tail = 300
    expected = (tail * shape + 5) / (tail + 10)  # drawn to 1/2 by ten observations
    error = (1 + shape) / math.sqrt(tail)  # of one estimate, by the information of the law
    assert float(found.mean()) == pytest.approx(expected, abs=4 * error / math.sqrt(40) + 0.02)
    assert float(found.std()) == pytest.approx(error, rel=0.5)


def test_it_is_near_scipys_maximum_likelihood() -> None:
    for seed in range(5):
        log_w = 2 * np.random.default_rng(seed).normal(size=4_000)
        largest = np.sort(np.exp(log_w - log_w.max()))[::-1]
        tail = int(3 * math.sqrt(4_000))
        shape, _, _ = stats.genpareto.fit(largest[:tail] - largest[tail], floc=0)
        expected = (tail * shape + 5) / (tail + 10)
        assert float(pareto_k(torch.from_numpy(log_w).unsqueeze(1))) == pytest.approx(expected, abs=0.05)


def test_it_is_the_same_for_all_scales_and_orders_of_rows() -> None:
    log_w = 2 * torch.randn(1_000, 3, dtype=torch.float64)
    found = pareto_k(log_w)
    torch.testing.assert_close(pareto_k(log_w - 5_000), found)
    torch.testing.assert_close(pareto_k(log_w[torch.randperm(1_000)]), found)
    torch.testing.assert_close(pareto_k(log_w[:, 1:2]), found[1:2])


def test_weights_of_a_gaussian_for_a_wider_one_have_the_tail_of_theory() -> None:
    """q = N(0, 1) for p = N(0, s^2): w grows as exp(z^2 (1 - 1/s^2) / 2), whose tail has the shape 1 - 1/s^2."""
    z = torch.randn(40_000, 20, dtype=torch.float64)
    for s2 in (1.25, 2.0, 5.0):
        found = pareto_k(0.5 * z.square() * (1 - 1 / s2)).mean()
        # The tail is Pareto's times a power of a logarithm, which draws finite samples below.
        assert 1 - 1 / s2 - 0.25 < float(found) < 1 - 1 / s2 + 0.1


def test_equal_weights_and_few_draws_have_no_tail() -> None:
    assert bool((pareto_k(torch.zeros(100, 2)) == -torch.inf).all())
    assert bool(pareto_k(torch.randn(20, 2)).isnan().all())
    assert bool(pareto_k(torch.randn(25, 2)).isfinite().all())
