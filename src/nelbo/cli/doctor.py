"""`nelbo doctor`: what is wrong with a run or with data, the likely cause first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nelbo.cli.output import print_json, working
from nelbo.cli.plugin import Plugins, load_plugins

if TYPE_CHECKING:
    from nelbo.doctor import Diagnosis, Finding

UNHEALTHY = 3  # the exit status of a warning or worse
COLOURS = {"fault": "bold red", "warning": "bold yellow", "remark": "bold"}


def doctor(
    target: Annotated[str, typer.Argument(metavar="RUN|DATA", help="Folder of a run; or a data set, file or folder.")],
    recipe: Annotated[str | None, typer.Option(help="For data: the recipe to look ahead for.")] = None,
    label: Annotated[str | None, typer.Option(help="For data: column or key that holds labels.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="For data: column to leave out; may be repeated.")] = None,
    group: Annotated[str | None, typer.Option(help="For data: column or key of groups.")] = None,
    kind: Annotated[str | None, typer.Option(help="For data: what values are.")] = None,
    likelihood: Annotated[str | None, typer.Option(help="For data: the likelihood to look ahead for.")] = None,
    scaling: Annotated[str | None, typer.Option(help="For data: what the network would see.")] = None,
    split: Annotated[str | None, typer.Option(help="For data: how rows would be split.")] = None,
    plugin: Plugins = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is wrong with a run or with data, the likely cause first, each with a command that mends it.

    Example:  nelbo doctor runs/001      or      nelbo doctor data.csv

    A run is examined by its files, and its model on some hundred rows; what is found is kept in the run's doctor.json,
    and the next report shows it. Of data, what would hinder a training is told before there is one. The exit status is
    0 where nothing is worse than a remark, else 3.
    """
    from nelbo.doctor import examine, examine_data, keep
    from nelbo.errors import ConfigError
    from nelbo.recipes import find
    from nelbo.runs import Run
    from nelbo.settings import resolve

    load_plugins(plugin)
    asked = {"recipe": recipe, "label": label, "drop": tuple(drop or ()), "group": group, "kind": kind,
             "likelihood": likelihood, "scaling": scaling, "split": split}  # fmt: skip
    given = {name: value for name, value in asked.items() if value}
    run = Run(Path(target))
    if run.exists:
        if given:
            raise ConfigError(f"--{next(iter(given))} is for data, and {target} is a run; leave it out")
        with working(f"examining {target}") as progress:
            diagnosis = examine(run, progress)
        keep(run, diagnosis)
    else:
        diagnosis = examine_data(resolve(find(recipe or "vae").defaults, {"source": target, **given}))
    if json:
        print_json(diagnosis.as_json())
    else:
        _print(diagnosis)
    if not diagnosis.is_healthy:
        raise typer.Exit(UNHEALTHY)


def _print(diagnosis: Diagnosis) -> None:
    """What was found as a person reads it."""
    from rich.console import Console
    from rich.markup import escape

    from nelbo.cli.output import console

    out: Console = console()
    if not diagnosis.findings:
        out.print(f"{escape(diagnosis.subject)}: nothing stands out")
        return
    for number, found in enumerate(diagnosis.findings, 1):
        _print_finding(out, number, found)


def _print_finding(out: Any, number: int, found: Finding) -> None:
    from rich.markup import escape

    word = found.severity.name.lower()
    out.print(f"[{COLOURS[word]}]{number}. {escape(found.entry.title)}[/] ({word}, {found.key})")
    out.print(f"   {escape(found.text)}", highlight=False)
    out.print(f"   {escape(found.entry.reason)}", style="dim", highlight=False)
    for step in found.steps[:1]:
        out.print(f"   {escape(step.why)}", highlight=False)
        if step.command:
            # On a line of its own and never broken, so that it can be pasted.
            out.print(f"     {escape(step.command)}", soft_wrap=True, highlight=False)
