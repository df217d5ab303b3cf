"""`nelbo train`: from a data set to a trained, measured, reported run."""

from __future__ import annotations

import functools
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nelbo.cli.output import counting, following, print_json, say
from nelbo.cli.plugin import Plugins, load_plugins
from nelbo.cli.stopping import stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from nelbo.runs import Run
    from nelbo.train.images import Painter
    from nelbo.train.job import Job
    from nelbo.train.rhythm import Rhythm
    from nelbo.train.tape import Taping

Data, Model, Fit, Folder = "Data", "Model", "Training", "Run"
TAPE_EVERY = "100steps"
FORETOLD = 3  # findings of the pre-flight that are told


def train(
    source: Annotated[
        str | None,
        typer.Argument(
            help="A data set (nelbo datasets), a .csv, .npz, .npy, .h5 or .h5ad file, or a folder of images."
        ),
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="nelbo recipes lists them.", rich_help_panel=Model)] = None,
    latent: Annotated[int | None, typer.Option(help="Latent dimensions (default: 16).", rich_help_panel=Model)] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            help="standard, mixture:components=10, vamp:components=500, flow, stick-breaking, conditional (with "
            "--condition label); nelbo parts lists them (default: standard).",
            rich_help_panel=Model,
        ),
    ] = None,
    posterior: Annotated[
        str | None,
        typer.Option(
            help="gaussian, full-gaussian, iaf:steps=2,hidden=320, kumaraswamy, delta; nelbo parts lists them "
            "(default: gaussian).",
            rich_help_panel=Model,
        ),
    ] = None,
    likelihood: Annotated[
        str | None,
        typer.Option(
            help="bernoulli, discretized-logistic, continuous-bernoulli, gaussian[:sigma=unit|shared|dimension|datum], "
            "mixed (tables: for each column one of its kind), mixed:ordinal=grade+stars; nelbo parts lists them. "
            "By kind of data if left out: grey or coloured bytes (mnist) take the discretized-logistic, 0/1 data the "
            "bernoulli, values in 0..1 the continuous-bernoulli, real numbers the gaussian.",
            rich_help_panel=Model,
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="mlp, gated-mlp, residual-mlp:blocks=2, linear; for images conv, resnet; for series conv-1d; "
            "mlp:activation=tanh.",
            rich_help_panel=Model,
        ),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option(
            help="Hidden layers of the encoder (default: 512,256); the decoder mirrors them.", rich_help_panel=Model
        ),
    ] = None,
    min_log_variance: Annotated[
        float | None, typer.Option(help="Lowest log-variance a network may emit (default: -14).", rich_help_panel=Model)
    ] = None,
    objective: Annotated[
        str | None,
        typer.Option(
            help="elbo, elbo:kl=sampled (all Monte Carlo), elbo:gradient=stl; iwae:samples=50,gradient=dreg, "
            "multiply-iwae, ciwae, piwae, renyi:alpha=0.5, vr-max; free-bits:nats=0.5, capacity:nats=25, beta-tc, "
            "factor:gamma=10, dip, mmd; autoencoder; nelbo parts lists them (default: elbo).",
            rich_help_panel=Model,
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Draws of z a datum and step (default: 1; with iwae 10).", rich_help_panel=Model)
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Final weight of the KL (default: 1).", rich_help_panel=Model)
    ] = None,
    warmup: Annotated[
        str | None,
        typer.Option(
            help="How beta (or a capacity) rises: none, linear:0.2 (share of the run), linear:10epochs, sigmoid:0.2, "
            "cyclic:0.8 (default: none).",
            rich_help_panel=Model,
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Column (csv) or key (npz) that holds labels.", rich_help_panel=Data)
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column to leave out; may be repeated.", rich_help_panel=Data)
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column or key whose groups --split group keeps together.", rich_help_panel=Data)
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="What values are: binary, byte, levels, unit, real, positive, count (default: found out).",
            rich_help_panel=Data,
        ),
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(
            help="label: encoder, decoder and a prior that can (conditional, flow) read the label; none (default: "
            "none).",
            rich_help_panel=Data,
        ),
    ] = None,
    binarize: Annotated[
        str | None,
        typer.Option(help="dynamic (fresh at each look), threshold or none (default: none).", rich_help_panel=Data),
    ] = None,
    transform: Annotated[
        str | None,
        typer.Option(
            help="none, dequantize, logit, log, log1p, by-column (a kind for each column, for --likelihood mixed), or "
            "density (score integers by a density, flagged).",
            rich_help_panel=Data,
        ),
    ] = None,
    scaling: Annotated[
        str | None,
        typer.Option(
            help="What the network sees: auto, none, unit, standardise or log1p (counts).", rich_help_panel=Data
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="auto, random, stratified, sequential, group, copies, official or all.", rich_help_panel=Data
        ),
    ] = None,
    validation: Annotated[
        float | None, typer.Option(help="Share of validation rows (default: 0.1).", rich_help_panel=Data)
    ] = None,
    test: Annotated[float | None, typer.Option(help="Share of test rows (default: 0.1).", rich_help_panel=Data)] = None,
    epochs: Annotated[
        int | None,
        typer.Option(help="Passes over the training rows (default: about 12,000 steps).", rich_help_panel=Fit),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps, instead of epochs.", rich_help_panel=Fit)] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step (default: 128).", rich_help_panel=Fit)] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate (default: 0.001).", rich_help_panel=Fit)] = None,
    lr_schedule: Annotated[
        str | None,
        typer.Option(
            help="constant, cosine, linear or step:at=0.5+0.75,factor=0.1 (default: cosine).", rich_help_panel=Fit
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        typer.Option(help="adam, adamw, adagrad, rmsprop:centered=true, sgd (default: adam).", rich_help_panel=Fit),
    ] = None,
    clip: Annotated[float | None, typer.Option(help="Largest gradient norm.", rich_help_panel=Fit)] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="Stop after so many epochs without a better validation loss; counts from the end of the warm-up.",
            rich_help_panel=Fit,
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(help="Weights to keep: best (by validation) or last (default: best).", rich_help_panel=Fit),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random (default: 0).", rich_help_panel=Fit)] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; recorded.", rich_help_panel=Fit)] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda (default: auto).", rich_help_panel=Fit)] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32 or bf16 (default: float32).", rich_help_panel=Fit)
    ] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the step (needs a C++ compiler).", rich_help_panel=Fit)
    ] = False,
    time_limit: Annotated[
        str | None, typer.Option(help="Stop at an epoch's end after 90s, 10min, 2h.", rich_help_panel=Fit)
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(help="Keep the moving average of the weights with this decay (0.999).", rich_help_panel=Fit),
    ] = None,
    checkpoint_every: Annotated[
        str | None,
        typer.Option(help="500steps, 1epoch, 10min (default: 1min).", rich_help_panel=Folder),
    ] = None,
    keep_checkpoints: Annotated[
        int | None, typer.Option(help="How many of the last ones are kept (default: 2).", rich_help_panel=Folder)
    ] = None,
    log_every: Annotated[
        str | None,
        typer.Option(
            help="Steps whose figures go to steps.jsonl: 50steps, 1epoch, 10s (default: 50steps).",
            rich_help_panel=Folder,
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(
            help="Figures to tensorboard, mlflow or wandb as well (pip install 'nelbo[NAME]'); may be repeated.",
            rich_help_panel=Folder,
        ),
    ] = None,
    images_every: Annotated[
        str | None,
        typer.Option(
            help="Reconstructions and samples of images to RUN/images and the loggers: 10epochs, 10min "
            "(default: never).",
            rich_help_panel=Folder,
        ),
    ] = None,
    tape: Annotated[
        bool,
        typer.Option(
            "--tape",
            help="Read the gradients of every term now and then, say what is disconnected or broke first, and write "
            "tape.jsonl; the weights stay the same.",
            rich_help_panel=Folder,
        ),
    ] = False,
    tape_every: Annotated[
        str | None,
        typer.Option(help="--tape, and how often: 10steps, 1epoch, 1min (default: 100steps).", rich_help_panel=Folder),
    ] = None,
    plugin: Plugins = None,
    run: Annotated[
        Path | None, typer.Option(help="Folder of the run (default: runs/001, 002, ...).", rich_help_panel=Folder)
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; the command line wins.", rich_help_panel=Folder)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with --run from its last checkpoint.", rich_help_panel=Folder)
    ] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            help="Of --resume: the checkpoint to go on from, by name (default: the last).", rich_help_panel=Folder
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start --run anew; the old one is moved aside.", rich_help_panel=Folder)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take, train nothing.", rich_help_panel=Folder)
    ] = False,
    no_preflight: Annotated[
        bool,
        typer.Option("--no-preflight", help="Leave out the look at what may go wrong.", rich_help_panel=Folder),
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object.", rich_help_panel=Folder)
    ] = False,
) -> None:
    """Train a model on a data set or a file, then measure it and write a report.

    Example:  nelbo train mnist --binarize dynamic --latent 20 --epochs 20

    What is left out is chosen, and what was chosen is printed and kept in the run's config.json. A network sees values
    scaled to 0..1 or standardised; a likelihood sees the data, so that every figure is in the data's own units.
    """
    given = {name: value for name, value in locals().items() if name not in _NO_SETTINGS and not _left_out(value)}
    if hidden is not None:
        given["hidden"] = _sizes(hidden)
    load_plugins(plugin)
    every = tape_every or (TAPE_EVERY if tape else None)
    if resume:
        _resume(run, given, checkpoint, plugin, every, json)
        return
    from nelbo.recipes import find
    from nelbo.settings import STAGES, read_config, resolve
    from nelbo.train.job import prepare
    from nelbo.train.stages import parse_stages

    from_file = read_config(config) if config is not None else {}
    stages = parse_stages(from_file.pop(STAGES)) if STAGES in from_file else ()
    chosen = find(str(given.get("recipe", from_file.get("recipe", "vae"))))
    job = prepare(resolve({"source": "digits"}, chosen.defaults, from_file, given))
    _introduce(job)
    if not no_preflight:
        _look_ahead(job, plugin)
    if dry_run:
        _dry_run(job, json)
        return
    from nelbo.errors import ConfigError
    from nelbo.fitting import rehearse
    from nelbo.runs import Run, claim, train_stages
    from nelbo.train.loggers import require

    if stages and every is not None:
        raise ConfigError("a training of stages is not taped; leave --tape out, or train one stage by itself")
    require(job.settings.log)
    painter, rhythm = _painter(job), _tape_rhythm(job, every)
    rehearse(job)  # what cannot be trained or measured is refused here, before any folder is touched
    folder = claim(run, overwrite=overwrite)
    say(f"run: {folder}")
    if stages:
        _finish_stages(Run(folder), functools.partial(train_stages, job, stages, folder), plugin, json)
        return
    _finish(_fit(job, folder, plugin, rhythm, painter), job, json)


_NO_SETTINGS = frozenset(
    {
        "hidden", "tape", "tape_every", "plugin", "run", "checkpoint", "config", "resume", "overwrite", "dry_run",
        "no_preflight", "json",
    }
)  # fmt: skip


def _left_out(value: object) -> bool:
    return value is None or value is False or value == []


def _resume(
    folder: Path | None,
    given: dict[str, Any],
    checkpoint: str | None,
    plugin: list[Path] | None,
    every: str | None,
    json: bool,
) -> None:
    from nelbo.errors import ConfigError
    from nelbo.runs import Run, claim, reopen, resume_stages

    if folder is None and "source" in given:
        folder = Path(str(given.pop("source")))
    extra = [name for name in given if name != "source"]
    if extra:
        raise ConfigError(
            f"--resume goes on with the settings of the run, so --{extra[0].replace('_', '-')} cannot change; start a "
            "new run for other settings"
        )
    folder = claim(folder, resume=True)
    run = Run(folder)
    if run.is_complete and run.state().get("stopped", "").startswith("all "):
        say(f"{folder} is complete already; its report: {run.report_file}")
        return
    if "stages" in run.config():
        if checkpoint is not None or every is not None:
            raise ConfigError("a training of stages goes on from its newest checkpoint, untaped; leave the option out")
        _finish_stages(run, functools.partial(resume_stages, run), plugin, json)
        return
    job = reopen(run)
    rhythm = _tape_rhythm(job, every)
    _introduce(job)
    _finish(_fit(job, folder, plugin, rhythm, _painter(job), resume=True, checkpoint=checkpoint), job, json)


def _finish_stages(run: Run, work: Callable[..., Run], plugin: list[Path] | None, json: bool) -> None:
    """Train several stages, or go on with them; a prior that is fitted afterwards is one."""
    from nelbo.runs import reopen
    from nelbo.runs.prior import record_gain

    with stopping(run.folder, plugin), following() as listener:
        work(listeners=[listener])
    if run.config()["stages"][-1].get("is_after"):
        record_gain(run)
    _finish(run, reopen(run), json)


def _tape_rhythm(job: Job, every: str | None) -> Rhythm | None:
    """How often the tape is opened; what cannot be taped is refused."""
    if every is None:
        return None
    from nelbo.errors import ConfigError
    from nelbo.train.rhythm import parse_rhythm

    if job.settings.compile:
        raise ConfigError("--tape looks between the modules, which --compile makes one; leave one of them out")
    return parse_rhythm("--tape-every", every)


def _taping(job: Job, folder: Path, rhythm: Rhythm | None) -> Taping | None:
    if rhythm is None:
        return None
    from nelbo.train.tape import Taping

    columns = None if job.spec.columns is None else [column.name for column in job.spec.columns]
    return Taping(rhythm, columns, folder / "tape.jsonl")


def _fit(
    job: Job,
    folder: Path,
    plugin: list[Path] | None,
    rhythm: Rhythm | None,
    painter: Painter | None,
    *,
    resume: bool = False,
    checkpoint: str | None = None,
) -> Run:
    from nelbo.runs import train_run

    taping = _taping(job, folder, rhythm)
    with stopping(folder, plugin), following() as listener, taping or nullcontext():
        listeners = [listener] if taping is None else [listener, taping]
        run = train_run(job, folder, resume=resume, checkpoint=checkpoint, listeners=listeners, painter=painter)
    if taping is not None:
        for finding in taping.findings or ["no findings"]:
            say(f"tape: {finding}")
        say(f"tape: {folder / 'tape.jsonl'}")
    return run


def _painter(job: Job) -> Painter | None:
    """Who makes the pictures, where they are wanted."""
    if job.settings.images_every is None:
        return None
    from nelbo.report.gallery import Gallery

    return Gallery(job)


def _introduce(job: Job) -> None:
    """Say what was understood, before anything is trained."""
    settings, split = job.settings, job.split
    say(job.spec.explain())
    say(f"  - split: {split.how}: {len(split.train)} train, {len(split.validation)} validation, {len(split.test)} test")
    for note in split.notes:
        say(f"  ! {note}")
    length = f"{settings.steps} steps" if settings.steps else f"{settings.epochs} epochs"
    beta = "" if settings.beta == 1 else f", beta {settings.beta:g}"
    say(
        f"model: {settings.recipe}, {settings.latent} latents, prior {settings.prior}, posterior {settings.posterior}, "
        f"likelihood {settings.likelihood}, network {settings.network}; {length} of batches of {settings.batch_size}, "
        f"{settings.optimizer} at {settings.lr:g}, objective {settings.objective}{beta}, warm-up {settings.warmup}, "
        f"seed {settings.seed}, {settings.threads} threads"
    )


def _look_ahead(job: Job, plugin: list[Path] | None) -> None:
    """Say what is foretold, a line each; nothing is refused for it."""
    from nelbo.doctor import Case, preflight

    for found in preflight(Case(job, tuple(map(str, plugin or ()))))[:FORETOLD]:
        remedy = f" {found.steps[0].why} Try: {found.remedy}" if found.remedy else ""
        say(f"{found.severity.name.lower()}: {found.entry.title}. {found.text}{remedy}")


def _dry_run(job: Job, json: bool) -> None:
    from nelbo.train.job import dry_run

    found = dry_run(job)
    if json:
        print_json({**vars(found), "seconds": found.seconds})
        return
    say(
        f"{found.parameters:,} parameters, about {found.memory_mb:,.0f} MB, {found.seconds_per_epoch:.2f} s an epoch, "
        f"{found.epochs} epochs: {found.seconds / 60:.1f} min; nothing was trained"
    )


def _finish(run: Run, job: Job, json: bool) -> None:
    """Measure, report, and print the figures and where the report is."""
    from nelbo.cli.evaluate import print_evaluation
    from nelbo.fitting import evaluated

    with counting("evaluating", len(job.split.test)) as progress:
        content = evaluated(run, job, progress).as_json()
    if json:
        print_json({"run": str(run.folder), "report": str(run.report_file), **content})
        return
    print_evaluation(content)
    print(f"report: {run.report_file}")


def _sizes(text: str) -> tuple[int, ...]:
    from nelbo.errors import ConfigError

    try:
        return tuple(int(size) for size in text.replace(" ", "").split(",") if size)
    except ValueError:
        raise ConfigError(f"--hidden {text} is not a list of sizes; write e.g. --hidden 512,256") from None
