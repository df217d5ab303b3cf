"""Schedules of an objective's weight (beta) over a run: none, linear, sigmoid, cyclic."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from nelbo.errors import ConfigError, unknown
from nelbo.registry import parse_part, parse_quantity

STEEPNESS = 6.0  # of a sigmoid: nine tenths of its rise lie in the middle half


@dataclass(frozen=True)
class Schedule(ABC):
    """The share of the final weight in force at a step.

    Parameters
    ----------
    settled_from
        First step from which the weight stays at its final value; the length of a rise.
    """

    settled_from: int

    def __call__(self, step: int) -> float:
        return 1.0 if step >= self.settled_from else self._rise(step / self.settled_from)

    @abstractmethod
    def _rise(self, done: float) -> float:
        """The share after `done` of the length, from 0 to below 1."""


@final
@dataclass(frozen=True)
class Constant(Schedule):
    """The final weight from the first step on."""

    settled_from: int = 0

    def _rise(self, done: float) -> float:
        return 1.0


@final
@dataclass(frozen=True)
class Linear(Schedule):
    """Evenly from 0 to the final weight; Bowman et al. (2016), Sonderby et al. (2016)."""

    def _rise(self, done: float) -> float:
        return done


@final
@dataclass(frozen=True)
class Sigmoid(Schedule):
    """A logistic curve from 0 to the final weight, steepest in the middle.

    (s(k (2 t - 1)) - s(-k)) / (s(k) - s(-k)) at the share t of the length, s the logistic function and k = 6: both ends
    are met.

    References
    ----------
    Bowman et al. (2016), Generating sentences from a continuous space, arXiv:1511.06349, section 3.1.
    """

    def _rise(self, done: float) -> float:
        low, high = _logistic(-STEEPNESS), _logistic(STEEPNESS)
        return (_logistic(STEEPNESS * (2 * done - 1)) - low) / (high - low)


@final
@dataclass(frozen=True)
class Cyclic(Schedule):
    """`cycles` saw-teeth, each rising in its first half; then the final weight.

    References
    ----------
    Fu et al. (2019), Cyclical annealing schedule, arXiv:1903.10145, eq. 6-7 with R = 1/2.
    """

    cycles: int = 4

    def _rise(self, done: float) -> float:
        return min(1.0, 2 * (done * self.cycles % 1.0))


def parse_schedule(text: str, total_steps: int, steps_per_epoch: int) -> Schedule:
    """A warm-up as the command line writes it.

    `none`; `linear:0.2` (share of the run); `linear:10epochs`; `linear:500steps`; `sigmoid:0.2`; `cyclic:0.8` or
    `cyclic:0.8,cycles=4`.

    Raises
    ------
    ConfigError
        If it cannot be read, or would outlast the run, which would silently end as a model with beta below its
        final value.
    """
    name, options = parse_part(text)
    if name == "none":
        return Constant()
    if name not in RISES:
        raise unknown("warm-up", name, ("none", *RISES))
    if "" not in options:
        raise ConfigError(f"--warmup {text} does not say how long; write e.g. --warmup {name}:0.2 or {name}:10epochs")
    length = _length(text, options.pop(""), total_steps, steps_per_epoch)
    if length > total_steps:
        raise ConfigError(
            f"--warmup {text} takes {length} steps but the run has only {total_steps}, so beta would never reach its "
            f"final value; shorten it (e.g. --warmup {name}:0.2) or train longer"
        )
    known = {"cycles"} if name == "cyclic" else set()
    if not known.issuperset(options):
        raise ConfigError(f"--warmup {text} has options it does not know; write e.g. linear:0.2 or cyclic:0.8,cycles=4")
    if name != "cyclic":
        return RISES[name](length)
    cycles = options.get("cycles", 4)
    if not isinstance(cycles, int) or cycles < 1:
        raise ConfigError(f"--warmup {text}: cycles must be a whole number, 1 or more")
    return Cyclic(length, cycles)


RISES: Mapping[str, Callable[[int], Schedule]] = {"linear": Linear, "sigmoid": Sigmoid, "cyclic": Cyclic}


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _length(text: str, value: object, total_steps: int, steps_per_epoch: int) -> int:
    sizes = {"": total_steps, "epochs": steps_per_epoch, "epoch": steps_per_epoch, "steps": 1, "step": 1}
    found = parse_quantity(str(value), sizes)
    if found is None or (found.unit == "" and found.number > 1):
        raise ConfigError(
            f"--warmup {text}: the length is a share of the run between 0 and 1 (0.2), or a number of epochs or steps "
            f"with its unit (10epochs, 500steps)"
        )
    return max(1, round(found.number * sizes[found.unit]))
