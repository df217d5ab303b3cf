"""`nelbo evaluate`: the figures of a run, with their errors and baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nelbo.cli.output import counting, print_json, print_table, show
from nelbo.cli.plugin import Plugins, load_plugins
from nelbo.cli.rows import Label, NewRows, RunFolder, chosen_rows

if TYPE_CHECKING:
    from nelbo.evaluate.measure import Finding
    from nelbo.runs import Run

FEW = 0.05  # of the rows
ESTIMATORS = ("iw", "ais", "bdmc")
Start = Literal["posterior", "prior"]


def evaluate(
    run: RunFolder,
    source: NewRows = None,
    samples: Annotated[
        int | None, typer.Option(help="Importance samples a row (default: 1000), or chains of ais and bdmc (16).")
    ] = None,
    estimator: Annotated[
        str,
        typer.Option(
            help="iw: importance sampling; ais: annealed importance sampling beside it; bdmc: both bounds of "
            "bidirectional Monte Carlo, on rows that the model made."
        ),
    ] = "iw",
    measure: Annotated[
        list[str] | None,
        typer.Option(
            help="Instead of the likelihood: gap, aggregate, rate-distortion, calibration, pit, samples, "
            "disentanglement, probes:neighbours=3; nelbo parts measure says what they are. May be repeated."
        ),
    ] = None,
    temperatures: Annotated[int, typer.Option(help="Of ais and bdmc: more is nearer the truth.")] = 500,
    start: Annotated[Start, typer.Option(help="Where chains start: posterior or prior.")] = "posterior",
    few: Annotated[int, typer.Option("--rows", min=1, help="Rows of ais and bdmc, evenly spaced.")] = 100,
    split: Annotated[str, typer.Option(help="train, validation or test.")] = "test",
    label: Label = None,
    per_row: Annotated[Path | None, typer.Option(help="CSV file for the figures of every row.")] = None,
    seed: Annotated[int, typer.Option(help="Of the importance samples.")] = 0,
    baselines: Annotated[bool, typer.Option(help="Put baselines beside the figures.")] = True,
    discrete: Annotated[
        bool,
        typer.Option("--discrete", help="Of a run with relaxed latents: the model with discrete ones, same networks."),
    ] = False,
    plugin: Plugins = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Estimate the bound and the log-likelihood of a run's test rows, or of new ones, in nats per datum.

    Example:  nelbo evaluate runs/001 --samples 5000 --per-row rows.csv

    Both are log densities or masses at beta = 1 (higher is better); the reference measure says of what.
    """
    from nelbo.data import evenly
    from nelbo.errors import ConfigError, unknown
    from nelbo.evaluate import Annealing, anneal
    from nelbo.evaluate import evaluate as evaluate_rows
    from nelbo.evaluate.annealing import check_annealing
    from nelbo.evaluate.measure import measure as measure_rows
    from nelbo.runs import Run

    if split not in {"train", "validation", "test"}:
        raise unknown("split to evaluate", split, ("train", "validation", "test"))
    if estimator not in ESTIMATORS:
        raise unknown("estimator", estimator, ESTIMATORS)
    load_plugins(plugin)
    folder = Run(run)
    fitted = folder.load()
    data, rows, training = chosen_rows(folder, fitted, source, split, label)
    if measure and discrete:
        raise ConfigError("--discrete is for the likelihood of a run, and --measure is in its place; leave one out")
    is_own = source is None
    if measure:
        total = len(measure) * len(rows)
        with counting("measuring", total) as progress:
            found = measure_rows(
                fitted,
                measure,
                data,
                rows,
                split=split if is_own else None,
                training=training,
                seed=seed,
                progress=progress,
            )
        if is_own:
            folder.write_measures(split, {name: finding.as_json() for name, finding in found.items()})
        _print_measures(found, folder, split, is_own, json)
        return
    how = None
    if estimator != "iw":  # refused before the work
        check_annealing(fitted.model)
        how = Annealing(chains=16 if samples is None else samples, temperatures=temperatures, start=start, seed=seed)
    with counting("evaluating", len(rows)) as progress:
        result = evaluate_rows(
            fitted,
            data,
            rows,
            split=split if is_own else None,
            training=training,
            samples=1_000 if how is not None or samples is None else samples,
            seed=seed,
            with_baselines=baselines,
            discrete=discrete,
            progress=progress,
        )
    if how is not None:
        some = evenly(rows, few)
        with counting("annealing", len(some)) as progress:
            annealed, bracketed = anneal(fitted, data, some, how, bracket=estimator == "bdmc", progress=progress)
        result = replace(result, annealing=how, annealed=annealed, bracketed=bracketed)
    content = result.as_json()
    if is_own:
        folder.write_evaluation(content)
    if per_row is not None:
        result.write_rows(per_row)
    if json:
        print_json(content)
        return
    print_evaluation(content)


def _print_measures(found: Mapping[str, Finding], folder: Run, split: str, is_own: bool, json: bool) -> None:
    if json:
        print_json({"split": split, "measures": {name: finding.figures for name, finding in found.items()}})
        return
    for finding in found.values():
        print_table(finding.title, finding.columns, finding.rows)
        for note in finding.notes:
            print(f"note: {note}")
    if is_own and any(finding.charts for finding in found.values()):
        print(f"pictures: nelbo report {folder.folder}")


def print_evaluation(content: dict[str, Any]) -> None:
    """The figures as a person reads them: the model first, its baselines below."""
    if content["log_likelihood"] is None:
        _print_reconstruction(content)
        return
    name = "its discrete counterpart" if content["discrete"] else "this model"
    rows: list[list[Any]] = [
        [
            f"{name}, log-likelihood (K = {content['importance_samples']})",
            content["log_likelihood"],
            content["standard_error"],
            content["bits_per_dim"],
        ],
        [f"{name}, bound", content["bound"], content["bound_standard_error"], None],
    ]
    rows += [[b["name"], b["log_likelihood"], b["standard_error"], b["bits_per_dim"]] for b in content["baselines"]]
    title = f"{content['split']}: {content['n']} rows, nats per datum"
    print_table(title, ["", "nats", "standard error", "bits/dim"], rows)
    print(f"reference measure: {content['reference_measure']}")
    if content["per_unit"]:
        unit = content["per_unit"]
        print(f"per [0, 1] unit: log-likelihood {show(unit['log_likelihood'])}, bound {show(unit['bound'])}")
    _print_tails(content)
    _print_annealed(content)
    if content["latent_space"].startswith("relaxed"):
        print(
            f"note: the latents are {content['latent_space']}, and these are figures of a decoder that reads such; "
            "nelbo evaluate --discrete gives those of discrete codes"
        )
    for warning in content["warnings"]:
        print(f"note: {warning}")
    print(
        f"KL {show(content['kl'])} nats, {content['active_units']} of {len(content['variance_of_means'])} latents "
        f"active; Monte Carlo error {show(content['monte_carlo_error'])}, effective sample size "
        f"{content['effective_sample_size']:.0f} of {content['importance_samples']}"
    )


def _print_tails(content: dict[str, Any]) -> None:
    """A word of warning where the weights of many rows have too heavy a tail."""
    share = (content.get("pareto_k") or {}).get("share_above", 0.0)
    if share > FEW:
        print(
            f"note: the weights of {share:.0%} of the rows have a tail too heavy to trust their estimate from so few "
            "samples (Pareto k above 0.7): nelbo evaluate takes more (--samples), or --estimator ais"
        )


def _print_annealed(content: dict[str, Any]) -> None:
    """Annealed importance sampling, and both bounds on simulated rows, where they were asked for."""
    if "ais" in content:
        a = content["ais"]
        print(
            f"annealed importance sampling, {a['n']} rows, {a['chains']} chains, {a['temperatures']} temperatures: "
            f"{show(a['log_likelihood'])}, Monte Carlo error {show(a['monte_carlo_error'])}, "
            f"{a['acceptance']:.0%} of proposals accepted"
        )
    if "bdmc" in content:
        b = content["bdmc"]
        print(
            f"{b['n']} rows made by the model, {b['chains']} chains, {b['temperatures']} temperatures: log-likelihood "
            f"from {show(b['lower'])} to {show(b['upper'])}; annealing is off by {show(b['gap'])} nats or less there"
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
