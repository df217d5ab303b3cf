"""How two things are compared on a machine whose speed drifts: taken in turns, with an interval."""

from __future__ import annotations

import gc
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

BLOCK, FEWEST_BLOCKS = 50, 20  # steps: neighbours share the machine's mood, blocks less so
RESAMPLES = 2_000
Times = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Ratio:
    """A ratio of speeds with its 95 % interval; above 1 the first is the faster one."""

    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f} (one round: no interval)"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def as_json(self) -> dict[str, float | None]:
        return {name: None if value is None else round(value, 4) for name, value in vars(self).items()}


def alternate(first: Callable[[], None], second: Callable[[], None], steps: int, *, warm_up: int, seed: int) -> Times:
    """Seconds of each step of both, [steps, 2]; a coin decides who goes first in each pair."""
    both = (first, second)
    for _ in range(warm_up):
        for one in both:
            one()
    gc.collect()
    coins = np.random.default_rng(seed).integers(2, size=steps)
    times = np.empty((steps, 2))
    for i, coin in enumerate(coins.tolist()):
        for which in (coin, 1 - coin):
            started = time.perf_counter()
            both[which]()
            times[i, which] = time.perf_counter() - started
    return times


def of_means(times: Times, seed: int = 0) -> Ratio:
    """Mean time of the second over that of the first: everything counts, also what happens now and then."""
    return _bootstrap(times, lambda rows: float(rows[:, 1].mean() / rows[:, 0].mean()), seed)


def of_medians(times: Times, seed: int = 0) -> Ratio:
    """Median time of the second over that of the first: the typical step."""
    return _bootstrap(times, lambda rows: float(np.median(rows[:, 1]) / np.median(rows[:, 0])), seed)


def of_rounds(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """Geometric mean over rounds of first / second, and Student's interval of the logarithms."""
    logs = np.log(np.asarray(first)) - np.log(np.asarray(second))
    if len(logs) < 2:
        return Ratio(math.exp(float(logs.mean())), None, None)
    half = float(stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    centre = float(logs.mean())
    return Ratio(math.exp(centre), math.exp(centre - half), math.exp(centre + half))


def interleave(contestants: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[Any]]:
    """What each contestant returns in each round: A B C, then C B A, and so on."""
    found: dict[str, list[Any]] = {name: [] for name in contestants}
    for number in range(rounds):
        names = list(contestants) if number % 2 == 0 else list(contestants)[::-1]
        for name in names:
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
            found[name].append(contestants[name]())
    return found


def _bootstrap(times: Times, statistic: Callable[[Times], float], seed: int) -> Ratio:
    """The statistic, and its percentile interval when whole blocks of neighbouring steps are drawn anew."""
    blocks = np.array_split(times, min(len(times), max(FEWEST_BLOCKS, len(times) // BLOCK)))
    draws = np.random.default_rng(seed).integers(len(blocks), size=(RESAMPLES, len(blocks)))
    values = [statistic(np.concatenate([blocks[i] for i in draw])) for draw in draws]
    low, high = np.quantile(values, (0.025, 0.975))
    return Ratio(statistic(times), float(low), float(high))
