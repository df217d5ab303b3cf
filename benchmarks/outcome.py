"""What a benchmark prints and leaves: figures beside their bars, and the circumstances they were measured in."""

from __future__ import annotations

import datetime
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

import nelbo
from nelbo.errors import NelboError
from nelbo.reproduce.record import code, commit
from nelbo.runs.folder import machine
from nelbo.storage import read_json, write_json
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


@final
class Record:
    """A record that grows figure by figure, so that a long benchmark can be taken in parts.

    Figures that are there already stay, unless they are measured again, as long as package, versions, machine and
    parameters are those they were measured with.
    """

    def __init__(self, circumstances: dict[str, Any], keep: bool) -> None:
        self._content = circumstances | {"code": code(), "figures": []}
        self._keep = keep
        path = RECORDS / f"{circumstances['benchmark']}.json"
        if keep and path.exists():
            before = read_json(path)
            passing = {"figures", "date", "commit", "load_before"}
            if all(before.get(name) == value for name, value in self._content.items() if name not in passing):
                self._content["figures"] = before["figures"]

    def add(self, measured: Measured) -> Measured:
        """Note a figure, on disk if the record is to be kept."""
        others = [figure for figure in self._content["figures"] if figure["name"] != measured.name]
        self._content["figures"] = [*others, measured.as_json()]
        if self._keep:
            write_record(self._content)
        return measured


def write_record(content: dict[str, Any]) -> Path:
    """The record of a benchmark, in place of the last one."""
    path = RECORDS / f"{content['benchmark']}.json"
    write_json(path, content)
    return path


def start(main: Callable[[], None]) -> None:
    """Run a script: a mistake in its words is one sentence and status 2, as on nelbo's own command line."""
    try:
        main()
    except NelboError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
