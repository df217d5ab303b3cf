"""The tape in a training: opened every so often, and once more at a loss that is not finite."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, final

import torch
from torch import Tensor

from nelbo.core import Batch, Loss, Objective
from nelbo.noise import apart
from nelbo.storage import append_lines, keep_lines
from nelbo.train.monitor import EpochRecord, Watcher
from nelbo.train.rhythm import Rhythm
from nelbo.train.tape.tape import GradientTape

EVERY_100_STEPS = Rhythm(steps=100)


@final
class Taping(Watcher):
    """Opens a `GradientTape` at the first step and then in a rhythm, and writes what it reads, a line for each loss.

    A loss that is not finite is computed once more, of the same batch, weights and noise, on the tape. Weights, and so
    every figure of the run, are the same with it and without.

    Parameters
    ----------
    rhythm
        How often; with `epochs` at the first step of an epoch.
    columns
        Names of the columns of x, for the findings.
    file
        Lines of JSON: steps done before, phase, terms, groups of parameters. Without one all readings stay in memory.
    """

    def __init__(
        self, rhythm: Rhythm = EVERY_100_STEPS, columns: Sequence[str] | None = None, file: Path | None = None
    ) -> None:
        self._file, self._rhythm, self._columns = file, rhythm, columns
        self._tape: GradientTape | None = None
        self._is_open = False
        self._step = -1
        self._epoch = 0
        self._starts_epoch = True
        self._opened = -math.inf
        self._noise: tuple[Tensor, Tensor | None] | None = None
        self._has_begun = False
        self._written = 0  # of the readings that the tape holds

    @property
    def tape(self) -> GradientTape | None:
        """Everything that was read; None before the first step."""
        return self._tape

    @property
    def findings(self) -> list[str]:
        """What is wrong, one sentence each."""
        return [] if self._tape is None else self._tape.findings

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:
        self._epoch, self._starts_epoch = epoch, True

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        self._epoch, self._starts_epoch = record.epoch, True

    def before(self, step: int, objective: Objective) -> None:
        self._noise = _noise(objective)
        tape = self._of(objective)
        if step != self._step:
            epoch_due = self._starts_epoch and self._rhythm.epochs is not None
            self._is_open = self._step < 0 or self._rhythm.is_due(step, self._epoch, epoch_due, self._opened)
            self._step, self._starts_epoch = step, False
        if self._is_open:
            self._opened = time.monotonic()
            tape.__enter__()

    def after(self, step: int) -> None:
        self._close()
        if self._is_open:
            self._write(step)

    def explain(self, forward: Callable[[Batch], Loss], batch: Batch) -> str:
        self._close()
        tape = self._tape
        if tape is None or self._noise is None:
            return ""
        of_cpu, of_cuda = self._noise
        device = batch.x.device
        with apart(device), tape:
            torch.set_rng_state(of_cpu)
            if of_cuda is not None:
                torch.cuda.set_rng_state(of_cuda, device)
            forward(batch)
        return "; ".join(tape.findings)

    def _of(self, objective: Objective) -> GradientTape:
        if self._tape is None:
            self._tape = GradientTape(objective, self._columns)
        return self._tape

    def _close(self) -> None:
        if self._tape is not None:
            self._tape.__exit__(None, None, None)

    def _write(self, step: int) -> None:
        """A line for each loss since the last; what is written is kept no longer than that."""
        tape, file = self._tape, self._file
        if tape is None or file is None:
            return
        if not self._has_begun:
            self._has_begun = True
            keep_lines(file, lambda line: line["step"] < step)
        fresh = tape.readings[self._written :]
        append_lines(file, [{"step": step, **reading.as_json()} for reading in fresh])
        tape.readings[:] = {reading.phase: reading for reading in tape.readings}.values()
        self._written = len(tape.readings)


def _noise(objective: Objective) -> tuple[Tensor, Tensor | None]:
    """torch's random state, and that of the device the objective is on."""
    device = next(objective.parameters()).device
    return torch.get_rng_state(), torch.cuda.get_rng_state(device) if device.type == "cuda" else None
