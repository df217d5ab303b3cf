"""Ranks against SciPy's tests, and the law that they are uniform where value and draws are exchangeable."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare, kstest, kstwo, norm
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal, Poisson

from nelbo.evaluate.ranks import AS_EXPECTED, band, departures, histograms, pooled, uniform_ranks

N = 4_000


@pytest.mark.parametrize("draws", [1, 7, 40])
@pytest.mark.parametrize(
    "law", [Normal(0.0, 1.0), Poisson(0.7), Bernoulli(torch.tensor(0.02))], ids=["normal", "poisson", "bernoulli"]
)
def test_ranks_among_draws_of_the_same_distribution_are_uniform(law: Distribution, draws: int) -> None:
    u = uniform_ranks(law.sample((N,)), (law.sample((N,)) for _ in range(draws)))
    assert u.min() >= 0
    assert u.max() < 1
    assert kstest(u.numpy(), "uniform").pvalue > 0.01


def test_ranks_of_values_above_all_draws_are_at_the_top() -> None:
    u = uniform_ranks(torch.full((N,), 2.0), [torch.zeros(N), torch.ones(N), torch.full((N,), 2.0)])
    assert u.min() >= 0.5  # two of three are below, one is equal: the rank is 2 or 3 of 0 .. 3
    assert kstest(2 * u.numpy() - 1, "uniform").pvalue > 0.01


def test_departures_are_the_statistics_of_scipy() -> None:
    u = torch.rand(500, 6, dtype=torch.float64) ** torch.tensor([1.0, 1.15, 0.85, 1.3, 0.75, 1.0])
    found = departures(u)
    p = [chisquare(np.histogram(column, 20, (0, 1))[0]).pvalue for column in u.numpy().T]
    ordered = sorted(p)
    for place in range(6):
        assert found.distance[place] == pytest.approx(kstest(u[:, place].numpy(), "uniform").statistic, abs=1e-12)
        rank = ordered.index(p[place])
        holm = min(1.0, max((6 - j) * ordered[j] for j in range(rank + 1)))
        assert found.p[place] == pytest.approx(holm, rel=1e-6, abs=0)
    assert sum(1e-9 < p < 1 for p in found.p) > 2  # neither ruled out nor cut off at 1
    assert found.histogram.sum(1) == pytest.approx(20)
    assert found.worst[0] in {3, 4}


def test_uniform_ranks_are_rejected_for_one_family_of_twenty() -> None:
    u = torch.rand(300, 200, 15, dtype=torch.float64)
    rejected = np.mean([bool((departures(family).p <= 0.05).any()) for family in u])
    assert 0.02 < rejected < 0.09


@pytest.mark.parametrize(
    ("location", "scale", "words"),
    [(0.0, 1.0, AS_EXPECTED), (0.0, 0.6, "too narrow"), (0.0, 1.6, "too wide"), (0.5, 1.0, "too high"),
     (-0.5, 1.0, "too low"), (-0.5, 0.6, "too narrow, too low")],
)  # fmt: skip
def test_the_words_say_how_the_draws_are_off(location: float, scale: float, words: str) -> None:
    value = torch.randn(2_000, 1)
    u = uniform_ranks(value, (location + scale * torch.randn(2_000, 1) for _ in range(99)))
    found = departures(u)
    assert found.reading(0) == words
    if location == 0:
        assert found.covered["90 %"][0] == pytest.approx(1 - 2 * norm.sf(norm.isf(0.05) * scale), abs=0.03)


def test_two_humps_and_heavy_tails_are_no_width() -> None:
    u = torch.cat([torch.rand(500, 1) * 0.2 + 0.1, torch.rand(500, 1) * 0.2 + 0.7])
    assert departures(u).reading(0) == "of another shape"
    tails = torch.cat([torch.rand(800, 1) * 0.4 + 0.3, torch.rand(100, 1) * 0.01, 1 - torch.rand(100, 1) * 0.01])
    assert departures(tails).spread[0] > 3
    assert departures(tails).reading(0) == "of another shape"


def test_the_threshold_knows_what_hangs_together_in_a_row() -> None:
    n, cells = 400, 25
    alike = torch.rand(n, 1, dtype=torch.float64).expand(-1, cells)
    apart = torch.rand(n, cells, dtype=torch.float64)
    # Kolmogorov's distribution for N and for N C independent values, by SciPy.
    assert pooled(alike).threshold == pytest.approx(kstwo.isf(0.05, n), rel=0.12)
    assert pooled(apart).threshold == pytest.approx(kstwo.isf(0.05, n * cells), rel=0.12)


def test_right_outputs_exceed_the_threshold_in_one_case_of_twenty_whatever_the_dependence() -> None:
    generator = torch.Generator().manual_seed(1)

    def rows() -> Tensor:
        """Cells that share half of their variance."""
        common = torch.randn(100, 1, generator=generator, dtype=torch.float64)
        own = torch.randn(100, 10, generator=generator, dtype=torch.float64)
        return torch.special.ndtr((common + own) * 0.5**0.5)

    found = [pooled(rows()) for _ in range(200)]
    assert 0.01 < np.mean([each.distance > each.threshold for each in found]) < 0.11
    assert 0.01 < np.mean([np.abs(each.histogram - 1).max() > each.half_band for each in found]) < 0.11
    assert np.mean([each.covered["50 %"] for each in found]) == pytest.approx(0.5, abs=0.01)


def test_pooled_ranks_of_narrow_outputs_are_called_so() -> None:
    found = pooled(torch.special.ndtr(1.5 * torch.randn(300, 12, dtype=torch.float64)))
    assert found.reading == "too narrow"
    assert found.distance > 3 * found.standard_error


@pytest.mark.parametrize("bins", [5, 20])
def test_all_bins_lie_in_the_band_nineteen_times_of_twenty(bins: int) -> None:
    low, high = band(1_000, bins)
    counts = np.random.default_rng(0).multinomial(1_000, [1 / bins] * bins, size=4_000) * bins / 1_000
    inside = ((counts >= low) & (counts <= high)).all(1).mean()
    assert 0.94 < inside < 0.98


def test_a_chart_of_histograms_has_its_points_in_the_middle_of_bins() -> None:
    chart = histograms({"a": np.array([1.0, 2.0])}, (0.5, 1.5), "rank", "words")
    assert list(chart.series["a"]) == [(0.25, 1.0), (0.75, 2.0)]
    assert chart.band == (0.5, 1.5)
