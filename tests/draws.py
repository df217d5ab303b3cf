"""Whether draws follow a distribution: thresholds corrected for the number of comparisons, ceilings on the error."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats
from torch import Tensor

FALSE_ALARM = 1e-4  # over all comparisons of a test together

Values = npt.NDArray[np.float64]


def assert_follows(drawn: Tensor, cdf: Callable[[Values], Values], comparisons: int) -> None:
    """Kolmogorov and Smirnov's test of draws [N] against a distribution function."""
    assert stats.kstest(drawn.double().numpy(), cdf).pvalue > FALSE_ALARM / comparisons


def assert_counted_as(drawn: Tensor, masses: Values, comparisons: int) -> None:
    """Pearson's test of drawn whole numbers [N] against their masses; rare numbers are counted together."""
    numbers = drawn.long().numpy()
    assert numbers.min() >= 0
    observed = np.bincount(np.minimum(numbers, len(masses)), minlength=len(masses) + 1).astype(float)
    expected = len(drawn) * np.append(masses, max(0.0, 1 - masses.sum()))
    common = expected > 10
    if not common.all():
        observed = np.append(observed[common], observed[~common].sum())
        expected = np.append(expected[common], expected[~common].sum())
    assert len(expected) > 2, "too few numbers are common enough to be compared"
    # Where the rest is too rare to be compared its draws are bounded, not tested.
    if expected[-1] <= 10:
        assert observed[-1] <= stats.poisson(expected[-1]).isf(FALSE_ALARM / comparisons) + 1
        observed, expected = observed[:-1], expected[:-1]
    statistic = ((observed - expected) ** 2 / expected).sum()
    assert stats.chi2(len(expected)).sf(statistic) > FALSE_ALARM / comparisons


def assert_mean(drawn: Tensor, mean: float, deviation: float, comparisons: int, ceiling: float) -> None:
    """The mean of draws [N] against its true value, given the true deviation of one draw.

    The standard error has to be below `ceiling`, in the units of the mean: a test that could not see a difference of
    some multiples of that is no test.
    """
    error = deviation / math.sqrt(len(drawn))
    assert error <= ceiling
    assert abs(float(drawn.double().mean()) - mean) < stats.norm.isf(FALSE_ALARM / 2 / comparisons) * error
