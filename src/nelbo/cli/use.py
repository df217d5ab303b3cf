"""`nelbo sample`, `nelbo reconstruct`, `nelbo encode`: a trained run put to use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nelbo.cli.output import count, print_json, say, show
from nelbo.cli.plugin import Plugins, load_plugins

if TYPE_CHECKING:
    from torch import Tensor

    from nelbo.core import Model
    from nelbo.data import Data
    from nelbo.train.job import Job

FEW = 16  # pairs in a picture of reconstructions

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
OtherData = Annotated[
    str | None, typer.Argument(metavar="DATA", help="Other data of the same shape, instead of a split.")
]
Split = Annotated[str, typer.Option(help="train, validation, test or all rows of the data trained on.")]
Label = Annotated[str | None, typer.Option(help="Label column or key of the other data (default: that of the run).")]
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

    job, model = _open(run, plugin)
    path = _output(output, run, "samples", job, images=True)
    values = apps.sample(job, model, n, seed=seed, draw=draw, label=label)
    apps.write(path, apps.Samples.of(job, values, label))
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
    data: OtherData = None,
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
    label: Label = None,
    plugin: Plugins = None,
    json: Json = False,
) -> None:
    """Send data through the model and back: every original beside its reconstruction, and the error of all rows.

    Example:  nelbo reconstruct runs/001 -n 16 -o reconstructions.png

    A reconstruction is the mean of p(x given z) at the posterior mean. Errors are in the units of the data.
    """
    from nelbo import apps
    from nelbo.apps.save import cell_names
    from nelbo.errors import ConfigError

    if n is not None and n < 1:
        raise ConfigError(f"-n {n} asks for no rows; give 1 or more, or leave it out for all")
    job, model = _open(run, plugin)
    path = _output(output, run, "reconstructions", job, images=True)
    other, rows = _chosen(job, data, split, label)
    result = apps.reconstruct(job, model, other, rows)
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
    is_table = job.data.spec.columns is not None
    print_json(
        {
            "run": str(run),
            "output": str(path),
            "data": job.data.spec.name if other is None else other.spec.name,
            "split": split if other is None else None,
            "n": len(result),
            "written": len(shown),
            "mean_squared_error": mean,
            "root_mean_squared_error": mean**0.5,
            "explained_variance": explained,
            "mean_squared_error_per_column": dict(zip(cell_names(job.data.spec), errors.tolist(), strict=True))
            if is_table
            else None,
        }
    )


def encode(
    run: RunFolder,
    data: OtherData = None,
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

    job, model = _open(run, plugin)
    path = _output(output, run, "latents", job, images=False)
    other, rows = _chosen(job, data, split, label)
    codes = apps.encode(job, model, other, rows, spread=spread, draws=draws, seed=seed)
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
        print_json({**content, "split": split if other is None else None, "seed": seed})
        return
    print(f"{count(rows_done, 'row')} in {count(latent, 'latent dimension')}: {path}")


def _open(folder: Path, plugin: list[Path] | None) -> tuple[Job, Model]:
    from nelbo.run import Run, reopen

    load_plugins(plugin)
    run = Run(folder)
    model = run.load_model()
    return reopen(run), model


def _output(asked: Path | None, run: Path, name: str, job: Job, *, images: bool) -> Path:
    """Where to write; an ending that cannot be written is refused before anything is computed."""
    from nelbo.apps import check_suffix

    spec = job.data.spec
    picture = images and spec.layout == "image"
    if asked is None:
        return run / f"{name}.{'png' if picture else 'csv'}"
    check_suffix(asked, f"{name} of {spec.name!r}", images=picture)
    return asked


def _chosen(job: Job, source: str | None, split: str, label: str | None) -> tuple[Data | None, Tensor | None]:
    """Other data, or row numbers of the job's own."""
    from nelbo.errors import ConfigError
    from nelbo.inputs import other_data, rows_of

    if source is not None:
        data = other_data(job, source, label)
        say(data.spec.explain())
        return data, None
    if label is not None:
        raise ConfigError(f"--label {label} is for other data; the run's own labels were chosen when it was trained")
    return None, rows_of(job, split)
