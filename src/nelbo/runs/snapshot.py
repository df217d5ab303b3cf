"""A run as it stands now, read from what its training has written so far, be it of another process."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from nelbo.runs import Run, last_of
from nelbo.runs.folder import FAILED
from nelbo.storage import read_lines

SILENT = 60.0  # seconds without a write after which a training may have died, if its records come oftener
LONG_BREAK = 5  # times the longest pause between its last records
RECENT = 20  # records whose pauses count
CURVE = 200  # points of a curve that are kept
TAIL = 2**16  # bytes at the end of steps.jsonl that are read


@final
@dataclass(frozen=True)
class Snapshot:
    """What is known of a training at one moment; figures in nats per datum.

    `status` is `starting` (no record yet), `training`, `silent` (no write for long: it may have died), `complete` or
    `failed`.
    """

    run: str
    source: str
    recipe: str
    status: str
    stopped: str  # why it ended, if it has
    epoch: int  # complete ones
    epochs: int
    step: int
    steps: int
    age: float | None  # seconds since the last write
    seconds: float  # of training so far
    seconds_left: float | None  # at the pace so far, if nothing stops it early
    samples_per_second: float | None
    train: Mapping[str, float | None] = field(default_factory=dict)  # of the last epoch, before the first one a step
    validation: Mapping[str, float | None] = field(default_factory=dict)
    best_epoch: int | None = None  # lowest validation loss so far
    weights: Mapping[str, float | None] = field(default_factory=dict)
    lr: float | None = None
    gradients: Mapping[str, float | None] = field(default_factory=dict)
    memory: Mapping[str, float | None] = field(default_factory=dict)
    latents: Mapping[str, Any] = field(default_factory=dict)  # when last looked at
    curves: Mapping[str, Mapping[str, Sequence[float | None]]] = field(default_factory=dict)  # by part and figure

    def as_json(self) -> dict[str, Any]:
        """One plain object."""
        return dict(vars(self))


def snapshot(run: Run) -> Snapshot:
    """Read a run; files that are missing or cut off are what they hold so far.

    Raises
    ------
    RunError
        If there is no run in the folder.
    StorageError
        If its `config.json` or `state.json` is damaged.
    """
    config, state = run.config(), run.state()
    settings, epochs, looks = config["settings"], run.metrics(), read_lines(run.steps_file, TAIL)
    last = epochs[-1] if epochs else {}
    look = looks[-1] if looks else {}
    newest = look if look.get("step", 0) > last.get("step", 0) else last
    step, total = int(newest.get("step", 0)), _steps(settings, config["data"]["split"]["train"])
    seconds = float(newest.get("seconds", 0.0))
    is_complete = run.is_complete and int(state.get("step", step)) >= step
    age = _age(run)
    stopped = str(state.get("stopped", ""))
    has_failed = stopped.startswith(FAILED) and _is_last(run.folder / "state.json", run)
    is_over = is_complete or has_failed
    left = seconds / step * max(0, total - step) if step and not is_over else None
    return Snapshot(
        run=str(run.folder),
        source=str(settings["source"]),
        recipe=str(settings["recipe"]),
        status=("failed" if has_failed else "complete")
        if is_over
        else _status(age, step, [*epochs[-RECENT:], *looks[-RECENT:]]),
        stopped=stopped.removeprefix(FAILED) if is_over else "",
        epoch=int(last.get("epoch", 0)),
        epochs=math.ceil(total / max(1, _per_epoch(settings, config["data"]["split"]["train"]))),
        step=step,
        steps=total,
        age=age,
        seconds=seconds,
        seconds_left=left,
        samples_per_second=newest.get("samples_per_second"),
        train=last.get("train") or look.get("train", {}),
        validation=last.get("validation", {}),
        best_epoch=_best(epochs),
        weights=newest.get("weights", {}),
        lr=newest.get("lr"),
        gradients=newest.get("gradients", {}),
        memory=newest.get("memory", {}),
        latents=last_of(epochs, "latents"),
        curves={part: _curves(epochs, part) for part in ("train", "validation")},
    )


def _is_last(file: Path, run: Run) -> bool:
    """Whether a file is not older than the last record: a training that goes on records again."""
    records = [each for each in (run.metrics_file, run.steps_file) if each.exists()]
    return all(file.stat().st_mtime >= each.stat().st_mtime for each in records)


def _status(age: float | None, step: int, records: Sequence[Mapping[str, Any]]) -> str:
    times = sorted(float(record.get("seconds", 0.0)) for record in records)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    if age is not None and age > max(SILENT, LONG_BREAK * max(pauses, default=0.0)):
        return "silent"
    return "training" if step else "starting"


def _per_epoch(settings: Mapping[str, Any], rows: int) -> int:
    return math.ceil(rows / int(settings["batch_size"]))


def _steps(settings: Mapping[str, Any], rows: int) -> int:
    return int(settings.get("steps") or _per_epoch(settings, rows) * int(settings.get("epochs") or 1))


def _age(run: Run) -> float | None:
    """Seconds since anything that a training writes was written."""
    files = [run.metrics_file, run.steps_file, run.folder / "config.json", *run.checkpoints.glob("*")]
    times = []
    for file in files:
        try:
            times.append(file.stat().st_mtime)
        except FileNotFoundError:  # an old checkpoint goes while one looks
            continue
    return max(0.0, time.time() - max(times)) if times else None


def _best(records: Sequence[Mapping[str, Any]]) -> int | None:
    losses = {int(record["epoch"]): record.get("validation", {}).get("loss") for record in records}
    known = {epoch: loss for epoch, loss in losses.items() if loss is not None}
    return min(known, key=lambda epoch: known[epoch]) if known else None


def _curves(records: Sequence[Mapping[str, Any]], part: str) -> dict[str, list[float | None]]:
    """The last epochs of each figure, None where there is none."""
    recent = records[-CURVE:]
    names = recent[-1].get(part, {}) if recent else {}
    return {name: [record.get(part, {}).get(name) for record in recent] for name in names}
