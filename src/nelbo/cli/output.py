"""Printing: JSON for programs, tables for people, progress for those who wait."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from rich.console import Console

    from nelbo.train.monitor import Listener

WIDE = 200  # characters a table may take where no terminal limits it
Cell = str | float | int | None


def print_json(content: Any) -> None:
    """One JSON object on standard output; nothing else goes there."""
    print(json.dumps(content, indent=2, allow_nan=False))


def print_table(title: str, header: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """A table; numbers are aligned right."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left", header_style="bold")
    for i, name in enumerate(header):
        numbers = any(isinstance(row[i], int | float) for row in rows)
        table.add_column(escape(name), justify="right" if numbers else "left", overflow="fold", no_wrap=i == 0)
    for row in rows:
        table.add_row(*(escape(show(cell)) for cell in row))
    console().print(table)


def console() -> Console:
    """Standard output: as wide as the terminal, or wide enough for a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDE)


def show(cell: Cell) -> str:
    """A figure as people read it: two decimals, a dash for what does not exist."""
    if cell is None:
        return "-"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def count(number: int, thing: str) -> str:
    """`1 row`, `2 rows`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def say(text: str) -> None:
    """A line for the person at the terminal, on standard error, so that --json output stays clean."""
    print(text, file=sys.stderr, flush=True)


def train_listener() -> Listener:
    """A live bar on a terminal, plain lines elsewhere."""
    from nelbo.cli.progress import Bar, Lines

    return Bar() if sys.stderr.isatty() else Lines()


@contextmanager
def following() -> Iterator[Listener]:
    """A listener that, however training ends, leaves the terminal with its cursor."""
    from nelbo.cli.progress import Bar

    listener = train_listener()
    try:
        yield listener
    finally:
        if isinstance(listener, Bar):
            listener.close()


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Progress over `total` rows: a bar on a terminal, a line every ten seconds elsewhere."""
    if not sys.stderr.isatty():
        yield _LineCounter(what, total).add
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda rows: progress.advance(task, rows)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Work of unknown length: on a terminal a line that says what is being done; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield lambda part: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True).status(escape(what)) as status:
        yield lambda part: status.update(escape(f"{what}: {part}"))


@final
class _LineCounter:
    def __init__(self, what: str, total: int) -> None:
        self._what, self._total, self._done, self._said = what, total, 0, time.monotonic()

    def add(self, rows: int) -> None:
        self._done += rows
        if time.monotonic() - self._said > 10:
            self._said = time.monotonic()
            say(f"{self._what}: {self._done} of {self._total} rows")
