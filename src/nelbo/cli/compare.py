"""`nelbo compare`: runs on the same rows, with paired differences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nelbo.cli.output import counting, print_json, print_table
from nelbo.cli.plugin import Plugins, load_plugins


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs; the first is what the others are put beside.")],
    samples: Annotated[int, typer.Option(min=1, help="Importance samples a row, K.")] = 1_000,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seed: Annotated[int, typer.Option(help="Of the importance samples.")] = 0,
    plugin: Plugins = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare runs of one data set on the rows that all of them hold out, in nats per datum.

    Example:  nelbo compare runs/001 runs/002

    Differences are paired row by row: their standard error is far below that of either figure.
    """
    from nelbo.errors import ConfigError, unknown
    from nelbo.evaluate import compare as compare_models
    from nelbo.run import Run, reopen

    if len(runs) < 2:
        raise ConfigError(f"one run ({runs[0]}) is nothing to compare; name two or more")
    if split not in {"train", "validation", "test"}:
        raise unknown("split to compare", split, ("train", "validation", "test"))
    load_plugins(plugin)
    fitted = [(str(run), reopen(Run(run)), Run(run).load_model()) for run in runs]
    total = len(runs) * min(len(getattr(job.split, split)) for _, job, _ in fitted)
    with counting("comparing", total) as progress:
        found = compare_models(fitted, split, samples=samples, seed=seed, progress=progress)
    content = found.as_json()
    if json:
        print_json(content)
        return
    _print(content, split)


def _print(content: dict[str, Any], split: str) -> None:
    from nelbo.evaluate.comparison import enough

    rows = []
    for model in content["models"]:
        gain = model.get("log_likelihood_difference")
        error = model.get("log_likelihood_difference_standard_error")
        says = "" if gain is None else enough(gain, error)
        rows.append(
            [model["name"], model["log_likelihood"], model["standard_error"], model["bound"], gain, error, says]
        )
    title = f"{split}: {content['n']} rows in common, nats per datum (K = {content['importance_samples']})"
    columns = ["run", "log-likelihood", "standard error", "bound", "less the first", "paired error", "which is"]
    print_table(title, columns, rows)
    print(f"reference measure: {content['reference_measure']}")
