"""`nelbo sample`, `nelbo reconstruct`, `nelbo encode`: a trained run put to use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nelbo.cli.output import count, print_json, show
from nelbo.cli.plugin import Plugins, load_plugins
from nelbo.cli.rows import Label, NewRows, RunFolder, chosen_rows

if TYPE_CHECKING:
    from nelbo.runs import Fitted

FEW = 16  # pairs in a picture of reconstructions

Split = Annotated[str, typer.Option(help="train, validation, test or all rows of the data trained on.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def sample(
    run: RunFolder,
    n: Annotated[int, typer.Option("-n", "--number", help="How many.")] = 64,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help=".png (images), .npz, .npy or .csv (default: samples.png or .csv in the run)."
        ),
    ] = None,
    draw: Annotated[
        bool, typer.Option("--draw", help="True draws of p(x given z), noise and all, instead of its mean.")
    ] = False,
    label: Annotated[
        str | None,
        typer.Option(help="Class to make, of a run with --condition label (default: all of them in turn)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the latents, and of the draws.")] = 0,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """Make new data: z from the prior, x from the decoder, in the units of the data trained on.

    Example:  nelbo sample runs/001 -n 64 -o samples.png
    """
    from nelbo import apps

    fitted = _open(run, plugin)
    path = _output(output, run, "samples", fitted, images=True)
    values = apps.sample(fitted, n, seed=seed, draw=draw, label=label)
    apps.write(path, apps.Samples.of(fitted, values, label))
    if json:
        content = {
            "run": str(run),
            "output": str(path),
            "n": n,
            "shape": list(values.shape),
            "draw": draw,
            "seed": seed,
        }
        print_json({**content, "label": label})
        return
    print(f"{count(n, 'sample')}: {path}")


def reconstruct(
    run: RunFolder,
    data: NewRows = None,
    split: Split = "test",
    n: Annotated[
        int | None,
        typer.Option("-n", "--number", help="Rows to write, from the first (default: 16 in a picture, else all)."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help=".png (images), .npz, .npy or .csv (default: reconstructions.png or .csv in the run).",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(help="Reconstructions from draws of the posterior, beside the one.")] = 0,
    label: Label = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """Send data through the model and back: every original beside its reconstruction, and the error of all rows.

    Example:  nelbo reconstruct runs/001 -n 16 -o reconstructions.png

    A reconstruction is the mean of p(x given z) at the one code of a row; with --draws others are made at draws of its
    posterior. Errors are those of the one code, in the units of the data.
    """
    from nelbo import apps
    from nelbo.apps.save import cell_names
    from nelbo.errors import ConfigError
    from nelbo.runs import Run

    if n is not None and n < 1:
        raise ConfigError(f"-n {n} asks for no rows; give 1 or more, or leave it out for all")
    fitted = _open(run, plugin)
    path = _output(output, run, "reconstructions", fitted, images=True)
    chosen, rows, _ = chosen_rows(Run(run), fitted, data, split, label)
    result = apps.reconstruct(fitted, chosen, rows, draws=draws, seed=seed)
    shown = result.first(n or (FEW if path.suffix.lower() == ".png" else len(result)))
    apps.write(path, shown)
    errors = result.squared_error.reshape(-1)
    mean, explained = float(errors.mean()), result.explained_variance
    if not json:
        print(
            f"mean squared error {mean:.6g} per dimension (root {mean**0.5:.6g}) over {count(len(result), 'row')}, in "
            f"the units of the data{'' if explained is None else f'; share of variance explained {show(explained)}'}"
        )
        print(f"{count(len(shown), 'reconstruction')}: {path}")
        return
    is_table = chosen.spec.columns is not None
    print_json(
        {
            "run": str(run),
            "output": str(path),
            "data": chosen.spec.name,
            "split": split if data is None else None,
            "n": len(result),
            "written": len(shown),
            "mean_squared_error": mean,
            "root_mean_squared_error": mean**0.5,
            "explained_variance": explained,
            "mean_squared_error_per_column": dict(zip(cell_names(chosen.spec), errors.tolist(), strict=True))
            if is_table
            else None,
        }
    )


def encode(
    run: RunFolder,
    data: NewRows = None,
    split: Split = "test",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help=".csv, .npz or .npy (default: latents.csv in the run).")
    ] = None,
    spread: Annotated[bool, typer.Option("--spread", help="The standard deviation of every latent as well.")] = False,
    draws: Annotated[int, typer.Option(help="Draws of z a row, beside the mean.")] = 0,
    label: Label = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """Turn data into latent codes: the posterior mean of every row, the same every time.

    Example:  nelbo encode runs/001 new.csv -o latents.csv --spread

    Columns are row (counted from 0), label where there is one, z1, z2, ..., and with --spread sigma1, sigma2, ...
    """
    from nelbo import apps
    from nelbo.runs import Run

    fitted = _open(run, plugin)
    path = _output(output, run, "latents", fitted, images=False)
    chosen, rows, _ = chosen_rows(Run(run), fitted, data, split, label)
    codes = apps.encode(fitted, chosen, rows, spread=spread, draws=draws, seed=seed)
    apps.write(path, codes)
    rows_done, latent = codes.mean.shape
    if json:
        content = {
            "run": str(run),
            "output": str(path),
            "n": rows_done,
            "latent": latent,
            "spread": spread,
            "draws": draws,
        }
        print_json({**content, "split": split if data is None else None, "seed": seed})
        return
    print(f"{count(rows_done, 'row')} in {count(latent, 'latent dimension')}: {path}")


def _open(folder: Path, plugin: list[Path] | None) -> Fitted:
    from nelbo.runs import load

    load_plugins(plugin)
    return load(folder)


def _output(asked: Path | None, run: Path, name: str, fitted: Fitted, *, images: bool) -> Path:
    """Where to write; an ending that cannot be written is refused before anything is computed."""
    from nelbo.apps import check_suffix

    picture = images and fitted.raw.layout == "image"
    if asked is None:
        return run / f"{name}.{'png' if picture else 'csv'}"
    check_suffix(asked, f"{name} of {fitted.raw.name!r}", images=picture)
    return asked
