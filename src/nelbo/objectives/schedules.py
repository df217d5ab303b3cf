"""Schedules of an objective's weight (beta) over a run: none, linear warm-up, cyclic."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from nelbo.errors import ConfigError, unknown
from nelbo.registry import parse_part


class Schedule(ABC):
    """The share of the final weight in force at a step."""

    @property
    @abstractmethod
    def settled_from(self) -> int:
        """First step from which the weight stays at its final value."""

    @abstractmethod
    def __call__(self, step: int) -> float: ...


@final
@dataclass(frozen=True)
class Constant(Schedule):
    """The final weight from the first step on."""

    @property
    def settled_from(self) -> int:
        return 0

    def __call__(self, step: int) -> float:
        return 1.0


@final
@dataclass(frozen=True)
class Linear(Schedule):
    """From 0 to the final weight in `length` steps; Bowman et al. (2016), Sonderby et al. (2016)."""

    length: int

    @property
    def settled_from(self) -> int:
        return self.length

    def __call__(self, step: int) -> float:
        return min(1.0, step / self.length)


@final
@dataclass(frozen=True)
class Cyclic(Schedule):
    """`cycles` saw-teeth over `length` steps, each rising in its first half; then the final weight.

    References
    ----------
    Fu et al. (2019), Cyclical annealing schedule, arXiv:1903.10145, eq. 6-7 with R = 1/2.
    """

    length: int
    cycles: int = 4

    @property
    def settled_from(self) -> int:
        return self.length

    def __call__(self, step: int) -> float:
        if step >= self.length:
            return 1.0
        phase = (step * self.cycles / self.length) % 1.0
        return min(1.0, 2 * phase)


def parse_schedule(text: str, total_steps: int, steps_per_epoch: int) -> Schedule:
    """A warm-up as the command line writes it.

    `none`; `linear:0.2` (share of the run); `linear:10epochs`; `linear:500steps`; `cyclic:0.8` or
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
    if name not in {"linear", "cyclic"}:
        raise unknown("warm-up", name, ("none", "linear", "cyclic"))
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
    if name == "linear":
        return Linear(length)
    cycles = options.get("cycles", 4)
    if not isinstance(cycles, int) or cycles < 1:
        raise ConfigError(f"--warmup {text}: cycles must be a whole number, 1 or more")
    return Cyclic(length, cycles)


def _length(text: str, value: object, total_steps: int, steps_per_epoch: int) -> int:
    word = str(value)
    for unit, size in (("epochs", steps_per_epoch), ("epoch", steps_per_epoch), ("steps", 1), ("step", 1)):
        number = word.removesuffix(unit)
        if number != word and _is_number(number):
            return max(1, round(float(number) * size))
    if not _is_number(word) or not 0 < float(word) <= 1:
        raise ConfigError(
            f"--warmup {text}: the length is a share of the run between 0 and 1 (0.2), or a number of epochs or steps "
            f"with its unit (10epochs, 500steps)"
        )
    return max(1, round(float(word) * total_steps))


def _is_number(word: str) -> bool:
    try:
        return 0 < float(word) < math.inf
    except ValueError:
        return False
