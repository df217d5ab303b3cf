"""What is measured while training, and who is told."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor

from nelbo.core import Batch, Loss, Objective, SinglePhase
from nelbo.storage import append_lines, keep_lines

if TYPE_CHECKING:
    from PIL.Image import Image

FOLD = 32  # steps
MAIN = SinglePhase.name  # the phase whose figures need no name


@final
class Ledger:
    """Sums, in float64, of the bounds and loss parts of some steps.

    Steps are noted as they come and added up `FOLD` at a time, so that a step computes nothing only to show it.
    """

    def __init__(self) -> None:
        self._noted: list[tuple[int, dict[tuple[str, str], Tensor]]] = []
        self._sums: dict[tuple[str, str], float] = {}
        self._beside: dict[str, Ledger] = {}
        self.rows = 0

    def of(self, phase: str) -> Ledger:
        """The ledger of a phase: this one for the first, one beside it for each other."""
        return self if phase == MAIN else self._beside.setdefault(phase, Ledger())

    def add(self, loss: Loss, rows: int) -> None:
        """Note a step over `rows` data."""
        noted = {("part", name): part.detach() for name, part in loss.parts.items()}
        noted |= {("figure", name): figure for name, figure in loss.figures.items()}
        if loss.bound is not None:
            noted["bound", ""] = loss.bound
        self.rows += rows
        self._noted.append((rows, noted))
        if len(self._noted) == FOLD:
            self._fold()

    def summary(self) -> dict[str, float]:
        """Means over the rows, in nats: loss, bound, likelihood, KL; parts without their weights where these are known.

        Figures of other phases bear their names.
        """
        self._fold()
        means = {key: total / self.rows for key, total in self._sums.items()}
        parts = {name: mean for (kind, name), mean in means.items() if kind == "part"}
        result = {**parts, **{name: mean for (kind, name), mean in means.items() if kind == "figure"}}
        result["loss"] = sum(parts.values())
        if ("bound", "") in means:
            result["bound"] = means["bound", ""]
        if "likelihood" in parts:
            result["likelihood"] = -parts["likelihood"]
        beside = {f"{phase}: {n}": v for phase, ledger in self._beside.items() for n, v in ledger.summary().items()}
        return {**result, **beside}

    def as_json(self) -> dict[str, Any]:
        """The sums so far, for an epoch that is broken off."""
        self._fold()
        beside = {phase: ledger.as_json() for phase, ledger in self._beside.items()}
        sums = [[kind, name, total] for (kind, name), total in self._sums.items()]
        return {"sums": sums, "rows": self.rows, "beside": beside}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Ledger:
        """A ledger that goes on from such sums."""
        ledger = cls()
        ledger._sums = {(kind, name): total for kind, name, total in content["sums"]}
        ledger.rows = int(content["rows"])
        ledger._beside = {phase: cls.from_json(sums) for phase, sums in content["beside"].items()}
        return ledger

    def _fold(self) -> None:
        for key in self._noted[0][1] if self._noted else ():
            vectors = [v if v.dim() else v.expand(rows) for rows, noted in self._noted for v in (noted[key],)]
            self._sums[key] = self._sums.get(key, 0.0) + float(torch.cat(vectors).double().sum())
        self._noted = []


@final
@dataclass(frozen=True)
class EpochRecord:
    """One line of `metrics.jsonl`: figures in nats per datum."""

    epoch: int
    step: int
    train: dict[str, float]
    validation: dict[str, float]
    weights: dict[str, float]  # those of the loss that a warm-up moves (beta, a capacity), at the last step
    lr: float
    samples_per_second: float
    seconds: float
    gradients: dict[str, float] = field(default_factory=dict)  # norms by part, at the last step, before clipping
    memory: dict[str, float] = field(default_factory=dict)  # MiB
    latents: dict[str, Any] = field(default_factory=dict)  # kl of each, active, rate, distortion; not of every epoch

    def as_json(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in vars(self).items()}


@final
@dataclass(frozen=True)
class StepRecord:
    """One line of `steps.jsonl`: one step, which is one batch, in nats per datum."""

    epoch: int
    step: int
    train: dict[str, float]
    gradients: dict[str, float]  # norms by part, before clipping
    weights: dict[str, float]  # in force at this step
    lr: float
    samples_per_second: float  # since the record before it, or since the epoch's start
    memory: dict[str, float]  # MiB
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in vars(self).items()}


def _plain(value: Any) -> Any:
    """The value with None where JSON has no word for it."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Listener(ABC):  # noqa: B024 (every hook has a default: a listener answers what it cares about)
    """Somebody who follows a training; every hook may be left out."""

    def stands_at(self, step: int) -> None:  # noqa: B027
        """Training starts, or goes on, after `step` steps: what was recorded of later ones is void. Comes first."""

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:  # noqa: B027
        """Training starts (or goes on) after `epoch` complete epochs."""

    def stepped(self, epoch: int, share: float, ledger: Ledger) -> None:  # noqa: B027
        """Some steps of an epoch are done (`share` of it); called a few times a second at most."""

    def logged(self, record: StepRecord) -> None:  # noqa: B027
        """A step was looked at; called at the rhythm of `--log-every`."""

    def painted(self, step: int, epoch: int, pictures: Mapping[str, Image]) -> None:  # noqa: B027
        """Pictures of what the model makes after an epoch, by name; called at the rhythm of `--images-every`."""

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:  # noqa: B027
        """An epoch is done."""

    def finished(self, reason: str) -> None:  # noqa: B027
        """Training is over, and why."""


class Watcher(Listener):
    """A listener who looks into steps too; without one, no step does anything for it."""

    @abstractmethod
    def before(self, step: int, objective: Objective) -> None:
        """The loss of a phase is about to be computed, after `step` complete steps."""

    @abstractmethod
    def after(self, step: int) -> None:
        """The phase made its update."""

    @abstractmethod
    def explain(self, forward: Callable[[Batch], Loss], batch: Batch) -> str:
        """What can be said of this loss, which is not finite; empty if nothing."""


@final
class MetricsFile(Listener):
    """Appends every epoch's record to `metrics.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:
        """Drop records of epochs that a resumed run does again, and a last line that was cut off."""
        keep_lines(self._path, lambda record: record["epoch"] <= epoch)

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        append_lines(self._path, [record.as_json()])


@final
class StepsFile(Listener):
    """Appends every step that is looked at to `steps.jsonl`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def stands_at(self, step: int) -> None:
        """Drop records of steps that a resumed run does again, and a last line that was cut off."""
        keep_lines(self._path, lambda record: record["step"] <= step)

    def logged(self, record: StepRecord) -> None:
        append_lines(self._path, [record.as_json()])
