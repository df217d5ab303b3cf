"""What a reproduction is, how it is run over seeds, and the record it leaves."""

from __future__ import annotations

import datetime
import json
import math
import re
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from nelbo.runs.folder import machine
from nelbo.storage import read_json, write_json

Say = Callable[[str], None]
RECORDS = Path("docs/reproductions")


@final
@dataclass(frozen=True)
class Figure:
    """One figure of a published result, and the range ours must lie in."""

    name: str
    reference: float | None
    source: str  # where the reference stands
    low: float | None = None
    high: float | None = None

    def holds(self, value: float) -> bool | None:
        """Whether the bar is met; None where there is no bar."""
        if self.low is None and self.high is None:
            return None
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@final
@dataclass(frozen=True)
class Chart:
    """How the curves of a reproduction are drawn: a panel for each part of the names before the bar."""

    x: str
    y: str
    logarithmic: bool = False  # x
    logarithmic_y: bool = False


CURVE = re.compile(r"(?P<panel>.*) \| (?P<series>.*) @ (?P<x>[-+.e\d]+)")


def point(panel: str, series: str, x: float) -> str:
    """The name of a figure that is a point of a curve: it is drawn, and stands in no table."""
    return f"{panel} | {series} @ {x:g}"


@final
@dataclass(frozen=True)
class Reproduction:
    """A published result as one command.

    `measure(seed, say)` trains and returns figures by name; those in `figures` are compared, others are shown beside.
    """

    name: str
    title: str
    citation: str
    configuration: Mapping[str, Any]
    figures: Sequence[Figure]
    measure: Callable[[int, Say], dict[str, float]]
    sources: Sequence[str]  # data sets, whose hash is recorded
    remark: str = ""
    chart: Chart | None = None  # of the figures that are points of curves (`point`)


@final
@dataclass(frozen=True)
class Row:
    """A figure over seeds beside its reference."""

    name: str
    mean: float
    sd: float | None
    values: tuple[float, ...]
    reference: float | None
    low: float | None
    high: float | None
    holds: bool | None
    source: str


def run_reproduction(
    reproduction: Reproduction, seeds: int, say: Say, record: Path | None = None, again: bool = False
) -> dict[str, Any]:
    """Run every seed and put ours beside the reference.

    With a record file, each seed is kept as soon as it is done, and seeds of the same configuration and code that it
    already holds are not run again (unless `again`): a long reproduction can be interrupted.
    """
    kept = {} if again or record is None else _kept(record, reproduction)
    measured: dict[str, dict[str, Any]] = dict(kept)
    content: dict[str, Any] = {}
    for seed in range(seeds):
        if str(seed) in measured:
            say(f"seed {seed}: already measured")
        else:
            started = time.perf_counter()
            say(f"seed {seed}: running")
            figures = reproduction.measure(seed, say)
            measured[str(seed)] = {"figures": figures, "seconds": round(time.perf_counter() - started, 1)}
        content = _content(reproduction, {s: measured[s] for s in sorted(measured, key=int)[:seeds]})
        if record is not None:
            write_json(record, content)
    return content


def rows(reproduction: Reproduction, measured: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """Mean and standard deviation over seeds of every figure."""
    wanted = {figure.name: figure for figure in reproduction.figures}
    names = list(next(iter(measured.values()))["figures"])
    result = []
    for name in names:
        values = tuple(float(one["figures"][name]) for one in measured.values())
        mean = statistics.fmean(values)
        figure = wanted.get(name, Figure(name, None, ""))
        sd = statistics.stdev(values) if len(values) > 1 else None
        result.append(
            Row(name, mean, sd, values, figure.reference, figure.low, figure.high, figure.holds(mean), figure.source)
        )
    return result


def _content(reproduction: Reproduction, measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    from nelbo.data import load

    return {
        "name": reproduction.name,
        "title": reproduction.title,
        "citation": reproduction.citation,
        "remark": reproduction.remark,
        "chart": None if reproduction.chart is None else vars(reproduction.chart),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit(),
        "code": code(),
        "configuration": dict(reproduction.configuration),
        "data": {source: load(source).sha256 for source in reproduction.sources},
        "machine": machine(),
        "seeds": dict(measured),
        "seconds": round(math.fsum(one["seconds"] for one in measured.values()), 1),
        "figures": [vars(row) | {"values": list(row.values)} for row in rows(reproduction, measured)],
    }


def _kept(record: Path, reproduction: Reproduction) -> dict[str, dict[str, Any]]:
    if not record.exists():
        return {}
    content = read_json(record)
    # Compared as JSON: a tuple of the configuration is a list in the record.
    configuration = json.loads(json.dumps(dict(reproduction.configuration)))
    same = content["configuration"] == configuration and content.get("code") == code() != "unknown"
    seeds: dict[str, dict[str, Any]] = content["seeds"] if same else {}
    return seeds


def commit() -> str:
    """The commit of the checkout, with `+` where files of the package differ from it; `unknown` outside one."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return f"{head}+" if head != "unknown" and _git("status", "--porcelain", ".") else head


def code() -> str:
    """What git calls the content of the package as committed; a commit that changes only the docs leaves it."""
    return _git("rev-parse", "HEAD:./")


def _git(*words: str) -> str:
    command = ["git", "-C", str(Path(__file__).parent.parent), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
