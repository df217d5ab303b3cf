"""The command line: a face. It parses, calls and prints; it computes nothing.

Modules here import heavy things inside functions, so that `nelbo --help` answers at once.
"""

from __future__ import annotations

from typing import Any, TextIO


def main() -> None:
    """Run a command: a user's mistake is one sentence and status 2, a defect of ours a traceback and status 1."""
    import sys
    import warnings

    import typer

    from nelbo.cli.app import app
    from nelbo.errors import NelboError

    # That of click, wherever this version of typer keeps it.
    usage_error: type[Exception] = typer.BadParameter.__bases__[0]
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            sys.exit(app(prog_name="nelbo", standalone_mode=False))
        except NelboError as problem:
            _refuse(str(problem))
        except usage_error as problem:
            _refuse(_usage(problem))


def _usage(problem: Any) -> str:
    """What is wrong with the words of a command, in one sentence; nothing where the help was shown instead."""
    message = problem.format_message().rstrip(".")
    path = problem.ctx.command_path if problem.ctx else "nelbo"
    return f"{message[:1].lower()}{message[1:]}; see {path} --help" if message else ""


def _warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning of ours is one sentence; others keep the line they come from."""
    import sys
    import warnings
    from pathlib import Path

    ours = Path(filename).is_relative_to(Path(__file__).parents[1])
    text = f"warning: {message}\n" if ours else warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(text)


def _refuse(sentence: str) -> None:
    import sys

    if sentence:
        print(f"error: {sentence}", file=sys.stderr)
    sys.exit(2)
