"""What a training that does not come to its end leaves to say."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from nelbo.cli.output import say


@contextmanager
def stopping(folder: Path, plugin: list[Path] | None) -> Iterator[None]:
    """Say how to go on with a training that was stopped, or where the cause is of one that failed."""
    from shlex import quote

    from nelbo.errors import TrainingError
    from nelbo.train.interruption import Interrupted

    try:
        yield
    except KeyboardInterrupt as stopped:
        by = f"by {stopped}, state saved" if isinstance(stopped, Interrupted) else "at once"
        say(f"\nstopped {by}; go on with: nelbo train --resume {quote(str(folder))}{again(plugin)}")
        raise typer.Exit(128 + stopped.signal if isinstance(stopped, Interrupted) else 130) from None
    except TrainingError as problem:
        raise TrainingError(f"{problem}; for the cause: nelbo doctor {quote(str(folder))}{again(plugin)}") from None


def again(plugin: list[Path] | None) -> str:
    """The plugins, for a command that goes on with the run."""
    import shlex

    return "".join(f" --plugin {shlex.quote(str(file))}" for file in plugin or ())
