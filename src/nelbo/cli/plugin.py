"""`--plugin`: parts of the user's own, for every command that trains, lists parts or opens a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="Python file that registers parts of your own; may be repeated."),
]


def load_plugins(files: list[Path] | None) -> None:
    """Import the files that were named, and no others."""
    if not files:
        return
    from nelbo.plugins import load

    for file in files:
        load(file)
