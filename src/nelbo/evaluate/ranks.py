"""Ranks of values among draws: uniform where both come from one distribution, and what it means where they are not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import binom, chi2, norm
from torch import Tensor

from nelbo.evaluate.measure import Chart

__all__ = [
    "AS_EXPECTED", "FEWEST", "Departures", "Pooled",
    "band", "departures", "histograms", "pooled", "uniform_ranks",
]  # fmt: skip

FEWEST = 50  # ranks that make a histogram
LEVEL = 0.05  # of all tests of a table together
STRONG = float(norm.isf(LEVEL / 4))  # standard errors that say in which way: two of them, both of two sides
GRID = 100  # points at which distribution functions of rows are compared; bins are made of them
MULTIPLIERS = 1_000
CENTRAL = {"50 %": 0.25, "90 %": 0.45}  # intervals around the middle, by half their width
AS_EXPECTED = "as expected"

Array = npt.NDArray[np.float64]


def uniform_ranks(value: Tensor, draws: Iterable[Tensor]) -> Tensor:
    """u = (l + V (e + 1)) / (L + 1): l of L draws lie below the value, e are equal to it, V is uniform on [0, 1).

    If the value and the draws are exchangeable, u is uniform on [0, 1), exactly and for every L: it is a rank from 0 to
    L, ties broken at random, plus a uniform fraction, over L + 1. For discrete values it is the randomised probability
    integral transform by simulation. V comes from torch's random state.

    Parameters
    ----------
    value
        Of any shape.
    draws
        L tensors of the shape of `value`.
    """
    below, equal, number = torch.zeros_like(value), torch.zeros_like(value), 0
    for draw in draws:
        below += draw < value
        equal += draw == value
        number += 1
    v = torch.rand(value.shape, dtype=torch.float64)
    return (below.double() + v * (equal.double() + 1)) / (number + 1)


@final
@dataclass(frozen=True, eq=False)
class Departures:
    """How the ranks of C quantities depart from uniform; arrays [C], float64."""

    histogram: Array  # [C, bins]  frequency over the expected one
    distance: Array  # of Kolmogorov and Smirnov: the largest gap between both distribution functions
    p: Array  # of the chi-square test over the bins, by Holm's correction for all C
    mean: Array  # rank
    lean: Array  # mean of the normal scores Phi^-1(u) over 0, in its standard errors
    spread: Array  # their variance over 1, the same; a shift of the draws leaves it as it is
    covered: Mapping[str, Array]  # nominal -> share of ranks in the central interval

    @property
    def worst(self) -> list[int]:
        """The quantities, the largest distance first."""
        return [int(place) for place in np.argsort(-self.distance, kind="stable")]

    def reading(self, place: int) -> str:
        """What the ranks of a quantity say of the draws."""
        covered = {name: float(shares[place]) for name, shares in self.covered.items()}
        return _words(bool(self.p[place] <= LEVEL), self.lean[place], self.spread[place], covered)

    def as_json(self, place: int) -> dict[str, Any]:
        """The figures of a quantity."""
        covered = {name: float(shares[place]) for name, shares in self.covered.items()}
        figures = {"mean_rank": self.mean, "distance": self.distance, "p": self.p}
        return {"covered": covered, **{name: float(values[place]) for name, values in figures.items()}}


def departures(u: Tensor) -> Departures:
    """Compare ranks u [N, C], the N independent, with the uniform distribution, one quantity after the other.

    Under uniformity normal scores are standard normal, their mean has variance 1/N and their variance 2/(N - 1).

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 65.
    """
    ranks, scores = u.double().numpy(), _normal_scores(u)
    n, bins = len(ranks), _bins(len(ranks))
    frequency = _tally(ranks.T, bins) * bins / n
    statistic = n / bins * ((frequency - 1) ** 2).sum(1)
    return Departures(
        histogram=frequency,
        distance=_distances(ranks),
        p=_holm(chi2.sf(statistic, bins - 1)),
        mean=ranks.mean(0),
        lean=scores.mean(0) * math.sqrt(n),
        spread=(scores.var(0, ddof=1) - 1) * math.sqrt((n - 1) / 2),
        covered={name: (np.abs(ranks - 0.5) <= half).mean(0) for name, half in CENTRAL.items()},
    )


@final
@dataclass(frozen=True, eq=False)
class Pooled:
    """The ranks of all cells together; rows are independent, cells of one row are not."""

    histogram: Array  # [bins]  frequency over the expected one
    half_band: float  # within 1 -+ this lie all bins of uniform ranks with probability 0.95
    distance: float  # of Kolmogorov and Smirnov, on a grid
    standard_error: float  # of that distance, over rows
    threshold: float  # which the distance of uniform ranks exceeds with probability 0.05
    mean: float  # rank
    lean: float  # as in `Departures`, with standard errors over rows
    spread: float
    covered: Mapping[str, float]

    @property
    def reading(self) -> str:
        """What the ranks say of the draws."""
        return _words(self.distance > self.threshold, self.lean, self.spread, self.covered)

    def as_json(self) -> dict[str, Any]:
        """The figures."""
        names = ("covered", "mean", "distance", "standard_error", "threshold")
        return {"mean_rank" if name == "mean" else name: getattr(self, name) for name in names}


def pooled(u: Tensor, seed: int = 0) -> Pooled:
    r"""Compare ranks u [N, C] of N independent rows, all cells together, with the uniform distribution.

    F = 1/N sum_n F_n is the mean of the rows' own distribution functions, whatever hangs together within a row. How
    large max_t |F(t) - t| becomes by chance is found by the multiplier bootstrap over rows: the quantile of
    max_t |1/N sum_n g_n (F_n(t) - F(t))|, g_n ~ N(0, 1). The band of the histogram is found in the same way.

    References
    ----------
    van der Vaart and Wellner (1996), Weak convergence and empirical processes, section 2.9.
    """
    ranks, scores = u.double().numpy(), _normal_scores(u)
    n = len(ranks)
    shares = _tally(ranks, GRID) / ranks.shape[1]  # [N, GRID]
    own = shares.cumsum(1)[:, :-1]
    bins = _bins(n)
    frequency = shares.reshape(n, bins, -1).sum(2) * bins
    gaps = np.abs(own.mean(0) - np.arange(1, GRID) / GRID)
    widest = int(gaps.argmax())
    g = np.random.default_rng(seed).standard_normal((MULTIPLIERS, n)) / n
    return Pooled(
        histogram=frequency.mean(0),
        half_band=_largest(g @ (frequency - frequency.mean(0))),
        distance=float(gaps[widest]),
        standard_error=float(own[:, widest].std(ddof=1)) / math.sqrt(n),
        threshold=_largest(g @ (own - own.mean(0))),
        mean=float(ranks.mean()),
        lean=_standardised(scores.mean(1)),
        spread=_standardised(((scores - scores.mean()) ** 2).mean(1) - 1),
        covered={name: float((np.abs(ranks - 0.5) <= half).mean()) for name, half in CENTRAL.items()},
    )


def band(n: int, bins: int) -> tuple[float, float]:
    """Where all bins of n independent uniform ranks lie with probability 0.95 or more, as frequency over expected."""
    tail = LEVEL / 2 / bins
    low, high = binom.ppf(tail, n, 1 / bins), binom.isf(tail, n, 1 / bins)
    return float(low * bins / n), float(high * bins / n)


def histograms(series: Mapping[str, Array], inside: tuple[float, float], x: str, words: str) -> Chart:
    """The chart of histograms of ranks, each [bins], with the band of uniform ones."""
    points = {
        name: [((place + 0.5) / len(bins), float(value)) for place, value in enumerate(bins)]
        for name, bins in series.items()
    }
    return Chart("lines", x, "frequency / expected", points, band=inside, words=words)


def _words(rejected: bool, lean: float, spread: float, covered: Mapping[str, float]) -> str:
    """In which way draws are off: too narrow where every central interval holds fewer values than it says."""
    if not rejected:
        return AS_EXPECTED
    found, missing = [], [2 * half - covered[name] for name, half in CENTRAL.items()]
    if spread > STRONG and min(missing) > 0:
        found.append("too narrow")
    if spread < -STRONG and max(missing) < 0:
        found.append("too wide")
    if abs(lean) > STRONG:
        found.append("too low" if lean > 0 else "too high")
    return ", ".join(found) or "of another shape"


def _bins(n: int) -> int:
    """Bins, each of a few expected ranks; they divide the grid."""
    return 20 if n >= 400 else 10 if n >= 100 else 5


def _normal_scores(u: Tensor) -> Array:
    """Phi^-1(u), finite."""
    inside = u.double().clamp(torch.finfo(torch.float64).tiny, 1 - torch.finfo(torch.float64).eps)
    scores: Array = torch.special.ndtri(inside).numpy()
    return scores


def _tally(ranks: Array, bins: int) -> Array:
    """How many of each row's ranks fall into each bin, [R, N] -> [R, bins]."""
    places = np.minimum((ranks * bins).astype(np.int64), bins - 1) + bins * np.arange(len(ranks))[:, None]
    counts = np.bincount(places.ravel(), minlength=bins * len(ranks))
    return counts.reshape(len(ranks), bins).astype(np.float64)


def _distances(ranks: Array) -> Array:
    """max_t |F_N(t) - t| of each column."""
    n = len(ranks)
    ordered, steps = np.sort(ranks, 0), np.arange(n + 1)[:, None] / n
    gaps: Array = np.maximum((steps[1:] - ordered).max(0), (ordered - steps[:-1]).max(0))
    return gaps


def _holm(p: Array) -> Array:
    """p values that hold for all tests together."""
    order = np.argsort(p)
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def _largest(deviations: Array) -> float:
    """The quantile of the largest deviation over the points, [MULTIPLIERS, points]."""
    return float(np.quantile(np.abs(deviations).max(1), 1 - LEVEL))


def _standardised(values: Array) -> float:
    return float(values.mean() / (values.std(ddof=1) / math.sqrt(len(values))))
