"""What a benchmark prints and leaves: figures beside their bars, and the circumstances they were measured in."""

from __future__ import annotations

import datetime
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

import nelbo
from nelbo.reproduce.record import commit
from nelbo.run import machine
from nelbo.storage import write_json
from ratios import Ratio

RECORDS = Path(__file__).resolve().parent / "records"


@final
@dataclass(frozen=True)
class Measured:
    """A ratio, the bar that the lower end of its interval has to reach, and what else there is to know."""

    name: str
    ratio: Ratio
    bar: float | None
    details: dict[str, Any]

    @property
    def holds(self) -> bool | None:
        """Whether the bar is reached; None where there is no bar or no interval."""
        if self.bar is None or self.ratio.low is None:
            return None
        return self.ratio.low >= self.bar

    def line(self) -> str:
        verdict = {None: "", True: ": reached", False: ": missed"}[self.holds]
        bar = "" if self.bar is None else f"   bar {self.bar:.2f}{verdict}"
        return f"{self.name:<58} {self.ratio}{bar}"

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ratio": self.ratio.as_json(),
            "bar": self.bar,
            "holds": self.holds,
            **self.details,
        }


def circumstances(benchmark: str, threads: int) -> dict[str, Any]:
    """Commit, versions, machine, threads, load and date; to be taken before measuring, as the load is then others'."""
    return {
        "benchmark": benchmark,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "versions": {
            "nelbo": nelbo.__version__,
            "torch": str(torch.__version__),
            "python": platform.python_version(),
        },
        "machine": machine(),
        "threads": threads,
        "load_before": [round(value, 2) for value in os.getloadavg()],
    }


def write_record(content: dict[str, Any]) -> Path:
    """The record of a benchmark, in place of the last one."""
    path = RECORDS / f"{content['benchmark']}.json"
    write_json(path, content)
    return path
