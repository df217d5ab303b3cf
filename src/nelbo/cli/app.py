"""The commands, put together."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from nelbo import __version__
from nelbo.cli.catalogue import cite, datasets, parts, recipes, report, runs
from nelbo.cli.compare import compare
from nelbo.cli.doctor import doctor
from nelbo.cli.evaluate import evaluate
from nelbo.cli.fit_prior import fit_prior
from nelbo.cli.reproduce import reproduce
from nelbo.cli.train import train
from nelbo.cli.use import encode, reconstruct, sample
from nelbo.cli.watch import watch

app = typer.Typer(
    help="Variational autoencoders whose numbers can be trusted, on your own data.\n\nStart with:  nelbo train digits",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nelbo {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options of the program itself."""


def _interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """A command that ends in one line at Ctrl-C, and in silence where its reader (head, less) has left."""

    @functools.wraps(command)
    def run(*args: object, **options: object) -> None:
        try:
            command(*args, **options)
            sys.stdout.flush()
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes on its way out
            raise typer.Exit from None

    return run


for command in (
    train,
    watch,
    evaluate,
    doctor,
    compare,
    fit_prior,
    sample,
    reconstruct,
    encode,
    report,
    runs,
    recipes,
    parts,
    datasets,
    reproduce,
    cite,
):
    app.command()(_interruptible(command))
