"""The whole job from rows to a report, as one call."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nelbo import plugins, recipes
from nelbo.apps import encode, reconstruct, sample
from nelbo.data import Data, load
from nelbo.data.sources import Source
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate import Evaluation, evaluate, evaluate_split
from nelbo.evaluate.likelihood import Progress
from nelbo.runs import Fitted, Run, claim, reopen, train_run, train_stages
from nelbo.settings import resolve
from nelbo.train.job import Job, make_trainer, prepare
from nelbo.train.monitor import Listener
from nelbo.train.stages import Stage, parse_stages

__all__ = ["SAMPLES", "evaluated", "fit", "rehearse"]

SAMPLES = 200  # importance samples of the evaluation that follows a training; nelbo evaluate takes more


def fit(
    rows: Source | Data,
    *,
    run: Path | str | None = None,
    overwrite: bool = False,
    report: bool = True,
    stages: Sequence[Stage | Mapping[str, Any]] = (),
    listeners: Sequence[Listener] = (),
    **settings: Any,
) -> Fitted:
    """Find out what the rows are, train a model, evaluate it on held-out rows, and write its report.

    What was in memory is kept with the run, so that every command can go on with it.

    Parameters
    ----------
    rows
        A path, a known name, an array [N, ...], a tensor, a frame, a sparse matrix, or a pair of rows and labels.
    run
        Folder of the run; by default a fresh number below `runs`.
    overwrite
        Whether a run in that folder is moved aside; else it is an error.
    report
        Whether the model is evaluated and `report.html` written.
    stages
        What is trained one after the other, each with changes to the settings; see `nelbo.train.stages.Stage`. The
        last one's model is the run's.
    listeners
        Told of steps and epochs.
    settings
        Those of `nelbo train`, with underscores: `latent=8, epochs=50, likelihood="student-t", label="class"`.

    Returns
    -------
    The fitted model, which takes new rows of any of these sorts; `fitted.folder` is its run.

    Raises
    ------
    ConfigError
        For a setting that is unknown (the nearest is named) or out of range.
    DataError
        If the rows cannot be read or modelled.
    CompositionError
        If parts, objective and data do not fit together.
    RunError
        If the folder holds something already.
    TrainingError
        If the loss turns non-finite.

    Examples
    --------
    >>> fitted = nelbo.fit(X, latent=4, epochs=20)
    >>> codes = nelbo.encode(fitted, X_new).mean
    """
    is_named, several = isinstance(rows, str | Path), parse_stages(list(stages)) if stages else ()
    taken = ("source",) if not isinstance(rows, Data) else ("source", "label", "drop", "group", "kind")
    for name in taken:
        if name in settings:
            raise ConfigError(f"{name}={settings[name]!r} says again what the rows are; leave it out")
    if run is not None and not isinstance(run, str | Path):
        raise ConfigError(f"run={run!r} is no folder; give a path such as 'runs/mine'")
    source = {"source": str(rows)} if is_named else {}
    recipe = recipes.find(str(settings.get("recipe", "vae")))
    wanted = resolve(recipe.defaults, settings, source)
    data: Data | None = None
    if not isinstance(rows, str | Path):
        how = {"label": wanted.label, "group": wanted.group, "kind": wanted.kind}
        data = rows if isinstance(rows, Data) else load(rows, drop=wanted.drop, **how)
        wanted = wanted.model_copy(update={"source": data.source or data.spec.name})
    job = prepare(wanted, data)
    rehearse(job)  # what cannot be trained or measured is refused here, before any folder is touched
    folder = claim(None if run is None else Path(run), overwrite=overwrite)
    options: dict[str, Any] = {"listeners": listeners, "rows_too": not is_named}
    done = train_stages(job, several, folder, **options) if several else train_run(job, folder, **options)
    if report:
        evaluated(done, reopen(done, data) if several else job)
    return done.load()


def rehearse(job: Job) -> None:
    """Do on two rows all that a training and what follows it would, so that none ends in vain.

    Raises
    ------
    CompositionError
        If parts, objective and data do not fit together, or the model lacks what its measurement needs.
    ConfigError
        If a part of the user's own raises; the message names its line.
    """
    with plugins.blaming(job.objective_spec, "every method of a model is tried on two rows before the training"):
        fitted = Fitted.of(job, make_trainer(job).objective.model.cpu(), with_baselines=False)
        rows = job.split.train[:2]
        try:
            evaluate(fitted, job.data, rows, samples=2)
            encode(fitted, job.data, rows, spread=True, draws=1)
            reconstruct(fitted, job.data, rows)
            for draw in (False, True):
                sample(fitted, 2, draw=draw)
        except NotImplementedError as problem:  # as torch's distributions say that they do not know a moment
            where = traceback.extract_tb(problem.__traceback__)[-1]
            raise CompositionError(
                f"{where.name} is not implemented by a distribution of this model, and what follows a training needs "
                "it; define it there"
            ) from problem


def evaluated(run: Run, job: Job, progress: Progress | None = None) -> Evaluation:
    """Evaluate a run that was just trained on the rows it holds out, keep the figures, and write its report."""
    from nelbo.report import write_report  # pictures: not wanted by everybody who fits a model

    result = evaluate_split(job, run.load(), samples=SAMPLES, progress=progress)
    run.write_evaluation(result.as_json())
    write_report(run, job)
    return result
