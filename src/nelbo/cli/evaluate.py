"""`nelbo evaluate`: the figures of a run, with their errors and baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nelbo.cli.output import counting, print_json, print_table, show
from nelbo.cli.plugin import Plugins, load_plugins


def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    samples: Annotated[int, typer.Option(help="Importance samples a row, K.")] = 1_000,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    data: Annotated[str | None, typer.Option(help="Other data of the same shape, instead of a split.")] = None,
    label: Annotated[str | None, typer.Option(help="Label column or key of the other data.")] = None,
    per_row: Annotated[Path | None, typer.Option(help="CSV file for the figures of every row.")] = None,
    seed: Annotated[int, typer.Option(help="Of the importance samples.")] = 0,
    baselines: Annotated[bool, typer.Option(help="Put baselines beside the figures.")] = True,
    plugin: Plugins = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Estimate the bound and the log-likelihood of a run's test rows, in nats per datum.

    Example:  nelbo evaluate runs/001 --samples 5000 --per-row rows.csv

    Both are log densities or masses at beta = 1 (higher is better); the reference measure says of what.
    """
    from nelbo.errors import unknown
    from nelbo.evaluate import evaluate as evaluate_run
    from nelbo.inputs import other_data
    from nelbo.run import Run, reopen

    if split not in {"train", "validation", "test"}:
        raise unknown("split to evaluate", split, ("train", "validation", "test"))
    load_plugins(plugin)
    folder = Run(run)
    model = folder.load_model()
    job = reopen(folder)
    other = None
    if data is not None:
        other = other_data(job, data, label)
    total = len(getattr(job.split, split)) if other is None else len(other)
    with counting("evaluating", total) as progress:
        result = evaluate_run(
            job, model, split, samples=samples, data=other, seed=seed, with_baselines=baselines, progress=progress
        )
    content = result.as_json()
    if other is None:
        folder.write_evaluation(content)
    if per_row is not None:
        result.write_rows(per_row)
    if json:
        print_json(content)
        return
    print_evaluation(content)


def print_evaluation(content: dict[str, Any]) -> None:
    """The figures as a person reads them: the model first, its baselines below."""
    if content["log_likelihood"] is None:
        _print_reconstruction(content)
        return
    rows: list[list[Any]] = [
        [
            f"this model, log-likelihood (K = {content['importance_samples']})",
            content["log_likelihood"],
            content["standard_error"],
            content["bits_per_dim"],
        ],
        ["this model, bound", content["bound"], content["bound_standard_error"], None],
    ]
    rows += [[b["name"], b["log_likelihood"], b["standard_error"], b["bits_per_dim"]] for b in content["baselines"]]
    title = f"{content['split']}: {content['n']} rows, nats per datum"
    print_table(title, ["", "nats", "standard error", "bits/dim"], rows)
    print(f"reference measure: {content['reference_measure']}")
    if content["per_unit"]:
        unit = content["per_unit"]
        print(f"per [0, 1] unit: log-likelihood {show(unit['log_likelihood'])}, bound {show(unit['bound'])}")
    for warning in content["warnings"]:
        print(f"note: {warning}")
    print(
        f"KL {show(content['kl'])} nats, {content['active_units']} of {len(content['variance_of_means'])} latents "
        f"active; Monte Carlo error {show(content['monte_carlo_error'])}, effective sample size "
        f"{content['effective_sample_size']:.0f} of {content['importance_samples']}"
    )


def _print_reconstruction(content: dict[str, Any]) -> None:
    row = [
        "reconstruction, log p(x given its code)",
        content["reconstruction"],
        content["reconstruction_standard_error"],
    ]
    print_table(f"{content['split']}: {content['n']} rows, nats per datum", ["", "nats", "standard error"], [row])
    print(f"reference measure: {content['reference_measure']}")
    print(
        f"{content['active_units']} of {len(content['variance_of_means'])} code dimensions vary with the data; an "
        "autoencoder has no likelihood: for one give --posterior gaussian --objective elbo"
    )
