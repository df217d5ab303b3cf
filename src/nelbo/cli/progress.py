"""What a training shows while it runs: a live bar on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from typing import final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from nelbo.train.monitor import EpochRecord, Ledger, Listener

LINE_EVERY = 5.0  # seconds between plain lines


@final
class Bar(Listener):
    """One line that is redrawn: epoch, bound, likelihood, KL, samples a second, time left."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("[bold]epoch {task.fields[epoch]}/{task.fields[total_epochs]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=1.0, epoch=0, total_epochs=0, text="starting")
        self._pace = _Pace()

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:
        self._pace = _Pace(total_epochs, rows, epoch)
        self._progress.update(self._task, total=float(total_epochs), completed=float(epoch), total_epochs=total_epochs)
        self._progress.start()

    def stepped(self, epoch: int, share: float, ledger: Ledger) -> None:
        self._show(epoch, epoch - 1 + share, ledger.summary())

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        figures = record.validation or record.train
        if self._pace.is_time(0.1):
            self._show(record.epoch, float(record.epoch), figures, "validation " if record.validation else "")

    def finished(self, reason: str) -> None:
        self._progress.update(self._task, text=reason)
        self.close()

    def close(self) -> None:
        """Leave the terminal as it was; may be called again."""
        self._progress.stop()

    def _show(self, epoch: int, done: float, figures: dict[str, float], of: str = "") -> None:
        text = f"{of}{_figures(figures)}  {self._pace.text(done)}"
        self._progress.update(self._task, completed=done, epoch=epoch, text=text)


@final
class Lines(Listener):
    """A plain line every few seconds, for logs and pipes."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, soft_wrap=True, highlight=False)
        self._pace = _Pace()

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:
        self._pace = _Pace(total_epochs, rows, epoch)

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        if not self._pace.is_time(LINE_EVERY) and record.epoch not in {1, self._pace.total}:
            return
        held = f"  validation bound {record.validation['bound']:.2f}" if "bound" in record.validation else ""
        best = " (best)" if is_best else ""
        self._console.print(
            f"epoch {record.epoch}/{self._pace.total}  {_figures(record.train)}{held}{best}  "
            f"{self._pace.text(float(record.epoch))}",
            markup=False,
        )

    def finished(self, reason: str) -> None:
        self._console.print(f"training ended: {reason}", markup=False)


@final
class _Pace:
    """Samples a second and time left, from the epochs done since the start."""

    def __init__(self, total: int = 0, rows: int = 0, first: int = 0) -> None:
        self.total, self._rows, self._first = total, rows, first
        self._started = self._said = time.monotonic()

    def is_time(self, every: float) -> bool:
        if time.monotonic() - self._said < every:
            return False
        self._said = time.monotonic()
        return True

    def text(self, done: float) -> str:
        took, fresh = time.monotonic() - self._started, done - self._first
        if fresh <= 0 or took <= 0:
            return ""
        left = took / fresh * (self.total - done)
        return f"{fresh * self._rows / took:,.0f} samples/s  {_clock(left)} left"


def _figures(figures: dict[str, float]) -> str:
    """The figures of a bound; of a fit without one, what it minimises."""
    names = ("bound", "likelihood", "kl") if "bound" in figures or "likelihood" in figures else ("loss",)
    return "  ".join(f"{name} {figures[name]:.2f}" for name in names if name in figures)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
