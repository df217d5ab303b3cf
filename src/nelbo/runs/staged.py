"""Trainings of several stages into one run, and the job of any run again."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import torch

from nelbo import plugins
from nelbo.data import Data, Split, evenly
from nelbo.errors import ConfigError, RunError, StorageError
from nelbo.noise import apart
from nelbo.recipes import find
from nelbo.runs.codes import codes_of
from nelbo.runs.fitted import Fitted, load
from nelbo.runs.folder import Run
from nelbo.runs.kept import kept_rows
from nelbo.runs.training import Opening, trained
from nelbo.settings import Settings, resolve
from nelbo.storage import digest, sweep
from nelbo.train.images import Painter
from nelbo.train.job import Job, prepare
from nelbo.train.monitor import Listener
from nelbo.train.stages import Adopted, Stage, Stored, parse_stages, under

FEW = 50  # rows that stages are composed on before any is trained

__all__ = ["reopen", "resume_stages", "stage_job", "train_stages"]


def train_stages(
    base: Job,
    stages: Sequence[Stage],
    folder: Path,
    *,
    rows_too: bool = False,
    resume: bool = False,
    listeners: Sequence[Listener] = (),
    painter: Painter | None = None,
) -> Run:
    """Train stage after stage into a run folder; the model of the last is the run's.

    What a stage takes of other models is found, and verified by its SHA-256, before anything of it is built; the
    model that results holds all weights itself. Models of stages before the last lie in `stages/NAME/model/`, and
    their records in `NAME-metrics.jsonl`. A training that was killed goes on in the stage where it was.

    Parameters
    ----------
    base
        The job of the run's own settings, of which each stage changes some; all stages have its split.
    stages
        In their order; see `Stage`.
    rows_too
        Whether the rows are kept with the run.
    resume
        Whether to go on with what the folder holds.

    Raises
    ------
    ConfigError
        If a stage reads one that does not come before it, or a setting is wrong.
    StorageError
        If stored weights are not those that a stage names.
    CompositionError
        If stored weights do not fit the stage's model.
    """
    stages, run = parse_stages(list(stages)), Run(folder)
    if resume:
        sweep(folder)
    elif run.exists:
        raise RunError(f"{folder} holds a run; go on with it by resume, or choose another folder")
    check_stages(stages, base)
    beside = {"stages": [stage.model_dump(mode="json", exclude_defaults=True) for stage in stages]}
    opening = Opening(run, base, rows_too=rows_too, write=not resume, beside=beside)
    earlier: dict[str, Fitted] = {}
    for stage in stages:
        is_last = stage is stages[-1]
        kept = run.folder / "model" if is_last else run.stage_folder(stage.name) / "model"
        if resume and not is_last and (kept / "config.json").exists():
            earlier[stage.name] = load(kept.parent)
            continue
        job = stage_job(stage, base, earlier)
        followers = [_Course(Run(next(iter(stage.stored.values())).of), run.folder)] if stage.is_after else []
        prefix = "" if is_last and not stage.is_after else f"{stage.name}-"
        shown = painter if is_last and not stage.is_after else None
        first = [opening, *followers]
        objective, state = trained(job, run, first, listeners, resume=resume, painter=shown, prefix=prefix)
        reads = None if stage.reads is None else earlier[stage.reads]
        fitted = replace(Fitted.of(job, objective.model.cpu()), reads=reads)
        fitted.save(kept)
        earlier[stage.name] = fitted
        if is_last and not stage.is_after:
            run.write_state(state.as_json())
    return run


@final
class _Course(Listener):
    """Gives the new run the records of the training that it stems from, when its own stage starts."""

    def __init__(self, old: Run, folder: Path) -> None:
        self._old, self._folder = old, folder

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for file in (self._old.metrics_file, self._old.folder / "state.json"):
            if file.exists() and not (self._folder / file.name).exists():
                shutil.copyfile(file, self._folder / file.name)


def resume_stages(run: Run, *, listeners: Sequence[Listener] = (), painter: Painter | None = None) -> Run:
    """Go on with a training of stages, from its configuration."""
    stages, base = parse_stages(run.config()["stages"]), _base(run)
    return train_stages(base, stages, run.folder, resume=True, listeners=listeners, painter=painter)


def reopen(run: Run, data: Data | None = None) -> Job:
    """The job of a run again, from its configuration; the data must be those it was trained on.

    Of a run of stages it is that of the last, or of the run that the last one added to.

    Raises
    ------
    ConfigError
        If the data changed since, or the run needs a plugin that was not loaded.
    """
    base, config = _base(run, data), run.config()
    if "stages" not in config:
        return base
    last = parse_stages(config["stages"])[-1]
    if last.is_after:
        return base
    earlier = {} if last.reads is None else {last.reads: load(run.stage_folder(last.reads))}
    return stage_job(last.model_copy(update={"stored": {}, "objective": None}), base, earlier)


def _base(run: Run, data: Data | None = None) -> Job:
    config = run.config()
    plugins.require(config.get("plugins", ()), str(run.folder))
    settings = resolve(config["settings"])
    job = prepare(settings, kept_rows(run.folder) if data is None else data)
    if job.data.sha256 != config["data"]["sha256"]:
        raise ConfigError(
            f"{settings.source!r} no longer holds the data that {run.folder} was trained on (its content differs); "
            "restore them, or name other data explicitly"
        )
    return job


def stage_job(stage: Stage, base: Job, earlier: Mapping[str, Fitted]) -> Job:
    """What a stage trains and on what, its stored weights found and verified.

    Parameters
    ----------
    base
        The job of the run's own settings, whose split every stage has.
    earlier
        The fitted models of the stages before.
    """
    stored = {path: _found(taken, earlier) for path, taken in stage.stored.items()}
    settings = _changed(base.settings, stage)
    data = base.data if stage.reads is None else codes_of(earlier[stage.reads], base.data)
    job = prepare(settings, data, base.split)
    spec = job.objective_spec
    if stage.objective is not None:
        spec = {"part": f"objective/{stage.objective}", "model": spec["model"]}
    return replace(job, objective_spec=spec, adopted=stored, stage=stage.name)


_OF_ROWS = {"likelihood": "auto", "transform": "auto", "binarize": "none", "condition": "none", "scaling": "auto"}


_OF_NETWORKS: dict[str, Any] = {
    "recipe": "vae",
    "network": "mlp",
    "prior": "standard",
    "posterior": "gaussian",
    "objective": "elbo",
    "beta": 1.0,
    "samples": None,
    "warmup": "none",
    "ema": None,
}


def _changed(settings: Settings, stage: Stage) -> Settings:
    """The settings of a stage; another recipe brings its defaults, and codes are other data than rows."""
    recipe = stage.changes.get("recipe")
    defaults = {} if recipe is None else find(str(recipe)).defaults
    other: dict[str, Any] = {}
    if recipe is not None or stage.reads is not None or "likelihood" in stage.changes:
        other |= _OF_ROWS
    if recipe is not None or stage.reads is not None:
        other |= _OF_NETWORKS
    return resolve(settings.model_dump(mode="json"), other, defaults, stage.changes)


def _found(taken: Stored, earlier: Mapping[str, Fitted]) -> Adopted:
    """The weights that are named, once they are known to be those."""
    weights = (earlier[taken.of] if taken.of in earlier else _of_run(taken.of)).model.state_dict()
    if taken.sha256 not in {None, digest(weights)}:
        raise StorageError(
            f"the model of {taken.of} is not the one that {taken.path!r} was to be taken from (its weights changed); "
            "restore it from a copy, or start anew"
        )
    return Adopted(under(weights, taken.path), taken.frozen)


def _of_run(folder: str) -> Fitted:
    if not Path(folder).is_dir():
        raise RunError(f"there is no earlier stage and no run {folder!r} to take weights from; put it back")
    return load(folder)


def check_stages(stages: Sequence[Stage], base: Job) -> None:
    """Compose all stages, untrained and on a few rows, so that none is refused after others were trained.

    Raises
    ------
    ConfigError, CompositionError, StorageError, RunError
        For what a stage would be refused for.
    """
    names = {stage.name for stage in stages}
    data, rows = base.data, evenly(torch.cat([base.split.train, base.split.validation]), FEW)
    label = None if data.label is None else data.label[rows]
    few = replace(data, x=data.x[rows], label=label, group=None, factors=None, official={})
    every, none = torch.arange(len(rows)), torch.arange(0)
    small = replace(base, data=few, split=Split(every, none, none, "a few rows"))
    untrained: dict[str, Fitted] = {}
    with apart():
        for stage in stages:
            own = {
                path: t.model_copy(update={"sha256": None}) if t.of in names else t for path, t in stage.stored.items()
            }
            job = stage_job(stage.model_copy(update={"stored": own}), small, untrained)
            untrained[stage.name] = Fitted.of(job, job.build().model, with_baselines=False)
