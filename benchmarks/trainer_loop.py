"""nelbo's trainer, one full step at a call."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import final

from nelbo.train.job import Job, make_trainer
from nelbo.train.monitor import EpochRecord, Ledger, Listener
from nelbo.train.trainer import Trainer


@final
class TrainerLoop:
    """Calls `Trainer.steps` step by step; what monitoring does at an epoch's end is charged to the step after it."""

    def __init__(self, job: Job, listeners: Sequence[Listener]) -> None:
        self.trainer: Trainer = make_trainer(job, listeners=listeners)
        for listener in listeners:
            listener.started(1_000, self.trainer.batches.rows, 0)
        self._start_epoch()

    def __call__(self) -> None:
        for _ in self._steps:
            return
        self._finish_epoch()
        self._start_epoch()
        next(self._steps)

    def last_loss(self) -> float:
        """Mean loss of the steps of the epoch under way, nats per datum."""
        return self._ledger.summary()["loss"]

    def close(self) -> None:
        """Let the listeners go."""
        for listener in self.trainer.listeners:
            listener.finished("measured")

    def _start_epoch(self) -> None:
        self._ledger, self._started = Ledger(), time.perf_counter()
        self._steps = self.trainer.steps(self.trainer.state.epoch + 1, self._ledger)

    def _finish_epoch(self) -> None:
        trainer, state = self.trainer, self.trainer.state
        state.epoch += 1
        took = time.perf_counter() - self._started
        state.seconds += took
        latents = trainer.look_at_latents(state.epoch) if trainer.listeners else {}
        record = EpochRecord(
            state.epoch, state.step, self._ledger.summary(), {}, {"beta": 1.0}, trainer.plan.lr,
            self._ledger.rows / took, round(state.seconds, 3), {}, {}, latents,
        )  # fmt: skip
        for listener in trainer.listeners:
            listener.finished_epoch(record, False)
