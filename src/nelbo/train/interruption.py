"""Ctrl-C and SIGTERM finish the step that runs: the training is saved, then it ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import final

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@final
class Interrupted(KeyboardInterrupt):
    """A training was asked to end, and its state is saved; `signal` says by what."""

    def __init__(self, number: int) -> None:
        super().__init__("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)
        self.signal = number


@final
class Request:
    """Whether the training was asked to end."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def heard(self, number: int, frame: FrameType | None) -> None:
        """Note the first signal; a second one ends the process there and then."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def listening() -> Iterator[Request]:
    """Signals are noted while the context is open, where Python lets one listen (in the main thread)."""
    request = Request()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.heard) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
