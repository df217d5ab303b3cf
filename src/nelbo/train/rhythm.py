"""How often something is done in a training: every so many steps, epochs or seconds."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import final

from nelbo.errors import ConfigError

UNITS = {"steps": 1.0, "step": 1.0, "epochs": 1.0, "epoch": 1.0, "min": 60.0, "h": 3600.0, "s": 1.0}


@final
@dataclass(frozen=True)
class Rhythm:
    """Every `steps`, every `epochs` or every `seconds`; the others are None."""

    steps: int | None = None
    epochs: int | None = None
    seconds: float | None = None

    def is_due(self, step: int, epoch: int, at_end_of_epoch: bool, last: float) -> bool:
        """Whether it is time, after a step, when it was last done at `last` (of `time.monotonic`)."""
        if self.steps is not None:
            return step % self.steps == 0
        if self.epochs is not None:
            return at_end_of_epoch and epoch % self.epochs == 0
        return time.monotonic() - last >= (self.seconds or 0.0)


def parse_rhythm(option: str, text: str) -> Rhythm:
    """A rhythm as the command line writes it: `500steps`, `1epoch`, `10min`, `90s`, `2h`.

    Raises
    ------
    ConfigError
        If it cannot be read.
    """
    word = text.strip()
    for unit, size in UNITS.items():
        number = word.removesuffix(unit)
        if number == word or not _is_positive(number):
            continue
        if unit.startswith(("step", "epoch")):
            if float(number) != int(float(number)):
                break
            whole = int(float(number))
            return Rhythm(steps=whole) if unit.startswith("step") else Rhythm(epochs=whole)
        return Rhythm(seconds=float(number) * size)
    raise ConfigError(f"{option} {text} is no rhythm; write e.g. 500steps, 1epoch or 10min")


def _is_positive(word: str) -> bool:
    try:
        return 0 < float(word) < math.inf
    except ValueError:
        return False


EVERY_MINUTE = Rhythm(seconds=60.0)
