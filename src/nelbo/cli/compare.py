"""`nelbo compare`: runs on the same rows, with paired differences."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nelbo.cli.output import Cell, counting, print_json, print_table, say
from nelbo.cli.plugin import Plugins, load_plugins


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs; the first is what the others are put beside.")],
    samples: Annotated[int, typer.Option(min=1, help="Importance samples a row, K.")] = 1_000,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    seed: Annotated[int, typer.Option(help="Of the importance samples.")] = 0,
    figure: Annotated[Path | None, typer.Option(help="Draw the bounds over the training to this .svg file.")] = None,
    plugin: Plugins = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare runs of one data set on the rows that all of them hold out, in nats per datum.

    Example:  nelbo compare runs/001 runs/002 runs/003 --figure curves.svg

    Differences are paired row by row: their standard error is far below that of either figure. A run that cannot be
    compared with the first (another reference measure, other data, no row in common) is named with the reason.
    """
    from nelbo.errors import ConfigError, unknown
    from nelbo.evaluate import compare as compare_models
    from nelbo.evaluate.overview import not_comparable, overviews
    from nelbo.runs import Run, reopen

    if len(runs) < 2:
        raise ConfigError(f"one run ({runs[0]}) is nothing to compare; name two or more")
    if split not in {"train", "validation", "test"}:
        raise unknown("split to compare", split, ("train", "validation", "test"))
    if figure is not None and figure.suffix.lower() != ".svg":
        raise ConfigError(f"--figure {figure} is no .svg file; name one such as curves.svg")
    load_plugins(plugin)
    fitted = [(str(run), reopen(Run(run)), Run(run).load().model) for run in runs]
    reasons = not_comparable(fitted, split)
    if all(name in reasons for name, _, _ in fitted[1:]):
        reasons = {}  # nothing is left to put beside the first: the comparison itself says why
    kept = [each for each in fitted if each[0] not in reasons]
    total = len(kept) * min(len(getattr(job.split, split)) for _, job, _ in kept)
    with counting("comparing", total) as progress:
        found = compare_models(kept, split, samples=samples, seed=seed, progress=progress)
    beside = overviews([(name, Run(name)) for name, _, _ in kept], split)
    content = found.as_json()
    for model, overview in zip(content["models"], beside, strict=True):
        model |= {
            "settings": overview.settings,
            "epochs": overview.epochs,
            "seconds": overview.seconds,
            "kl": overview.kl,
            "active_units": overview.active_units,
        }
    content["not_comparable"] = reasons
    if figure is not None:
        from nelbo.report.curves import bound_curves
        from nelbo.storage import write_text

        write_text(figure, bound_curves(beside))
        say(f"figure: {figure}")
    if json:
        print_json(content)
        return
    _print(content, split)


def _print(content: dict[str, Any], split: str) -> None:
    from nelbo.evaluate.comparison import enough

    models = content["models"]
    settings = list(models[0]["settings"])
    rows: list[list[Cell]] = []
    for model in models:
        gain = model.get("log_likelihood_difference")
        error = model.get("log_likelihood_difference_standard_error")
        says = "" if gain is None else enough(gain, error)
        rows.append(
            [
                model["name"], *(_word(model["settings"][name]) for name in settings), model["epochs"],
                model["seconds"], model["kl"], model["active_units"], model["log_likelihood"],
                model["standard_error"], model["bound"], gain, error, says,
            ]
        )  # fmt: skip
    title = f"{split}: {content['n']} rows in common, nats per datum (K = {content['importance_samples']})"
    columns = [
        "run", *settings, "epochs done", "seconds", "KL", "active", "log-likelihood", "standard error", "bound",
        "less the first", "paired error", "which is",
    ]  # fmt: skip
    print_table(title, columns, rows)
    print(f"reference measure: {content['reference_measure']}")
    for name, reason in content["not_comparable"].items():
        print(f"not compared: {name}: {reason}")


def _word(value: Any) -> str:
    """A setting as the command line writes it."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "-" if value is None else str(value)
