"""`nelbo fit-prior`: another prior for a run that is trained already."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nelbo.cli.output import following, print_json, say, show
from nelbo.cli.plugin import Plugins, load_plugins
from nelbo.cli.stopping import stopping


def fit_prior(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a trained run; it stays as it is.")],
    prior: Annotated[
        str,
        typer.Option(help="normal, mixture:components=10, vamp:components=50, flow, second-stage (a VAE over z)."),
    ] = "mixture:components=10",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder of the new run (default: beside RUN, numbered).")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the codes (default: about 4,000 steps).")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step (default: that of the run).")] = None,
    lr: Annotated[float, typer.Option(help="Learning rate; it falls to 0 as a cosine.")] = 2e-3,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better validation loss.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the codes drawn and of their order.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Move a run in the -o folder aside.")] = False,
    plugin: Plugins = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit another prior to the codes of a trained run; its encoder and decoder stay as they are.

    Example:  nelbo fit-prior runs/001 --prior mixture:components=10 -o runs/mixture

    The new run is one like any other. Its gain is that of the bound on held-out rows, paired row by row.
    """
    from nelbo.runs import claim
    from nelbo.runs.prior import fit_prior as fit

    load_plugins(plugin)
    folder = claim(None, root=run.absolute().parent) if output is None else output
    with stopping(folder, plugin), following() as listener:
        done = fit(
            run,
            prior,
            output=folder,
            overwrite=overwrite,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            patience=patience,
            seed=seed,
            listeners=[listener],
        )
    content = done.gain.as_json()
    if json:
        print_json({"run": str(done.run.folder), "of": str(run), "prior": prior, **content})
        return
    _print(content)
    print(f"run: {done.run.folder}")
    say(f"measure it with: nelbo evaluate {done.run.folder}")


def _print(content: dict[str, Any]) -> None:
    if content["bound_before"] is not None:
        print(
            f"bound on {content['n']} {content['split']} rows: {_figure(content, 'bound_before')} before, "
            f"{_figure(content, 'bound_after')} after, in nats per datum"
        )
        print(f"gain: {_figure(content, 'gain')} nats, paired over the rows")
        return
    print(
        f"log p(z) of {content['n']} {content['split']} codes rose by {_figure(content, 'gain')} nats, paired over the "
        "rows (codes without a spread have no bound)"
    )


def _figure(content: dict[str, Any], name: str) -> str:
    error = content[f"{name}_standard_error"]
    return show(content[name]) + ("" if error is None else f" ± {show(error)}")
