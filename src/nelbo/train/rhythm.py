"""How often something is done in a training: every so many steps, epochs or seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import final

from nelbo.errors import ConfigError
from nelbo.registry import parse_quantity

COUNTS = ("steps", "step", "epochs", "epoch")
SECONDS = {"min": 60.0, "h": 3600.0, "s": 1.0}


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
    found = parse_quantity(text, (*COUNTS, *SECONDS))
    if found is not None and found.unit in SECONDS:
        return Rhythm(seconds=found.number * SECONDS[found.unit])
    if found is None or not found.number.is_integer():
        raise ConfigError(f"{option} {text} is no rhythm; write e.g. 500steps, 1epoch or 10min")
    whole = int(found.number)
    return Rhythm(steps=whole) if found.unit.startswith("step") else Rhythm(epochs=whole)


def parse_duration(text: str | None) -> float | None:
    """Seconds of `90`, `90s`, `10min`, `2h`."""
    if text is None:
        return None
    found = parse_quantity(text, ("", *SECONDS))
    if found is None:
        raise ConfigError(f"--time-limit {text} is not a length of time; write e.g. 90s, 10min or 2h")
    return found.number * SECONDS.get(found.unit, 1.0)


EVERY_MINUTE = Rhythm(seconds=60.0)
