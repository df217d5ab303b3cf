"""From settings to a fitted objective: the main job, one step after the other."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn

from nelbo import recipes
from nelbo.core import Batch, Model, Objective
from nelbo.data import Batches, Data, DataSpec, Split, Transform, conditioned, evenly, fit_spec, load, split
from nelbo.data import transform as make_transform
from nelbo.data.start import start_from
from nelbo.errors import CompositionError, ConfigError, unknown
from nelbo.noise import apart, own_noise
from nelbo.objectives.schedules import parse_schedule
from nelbo.registry import build
from nelbo.settings import Settings
from nelbo.train.checkpoint import Checkpoints, TrainState
from nelbo.train.engine import Engine
from nelbo.train.figures import LATENT_ROWS, LatentWatch
from nelbo.train.images import Painter
from nelbo.train.monitor import Listener
from nelbo.train.optimisers import lr_factor
from nelbo.train.rhythm import Rhythm, parse_duration, parse_rhythm
from nelbo.train.stages import Adopted, adopt
from nelbo.train.trainer import Plan, Trainer

AIM_STEPS = 12_000  # steps of a run whose length nobody chose
FEWEST, MOST = 10, 400  # its epochs
TRIED = 2  # training rows that an objective is tried on
PARTS = ("train", "validation", "test", "all")
IN_ORDER = 500  # rows of a batch that is not trained on
STARTED_FROM = 10_000  # training rows that parts which start from data look at


@final
@dataclass(frozen=True, eq=False)
class Job:
    """Everything that is decided before the first step."""

    settings: Settings  # fully resolved
    data: Data
    split: Split
    transform: Transform
    spec: DataSpec  # of the transformed data, with scaling
    objective_spec: Mapping[str, Any]
    adopted: Mapping[str, Adopted] = field(default_factory=dict)  # weights of parts that were stored before, by path
    stage: str = ""  # its name, where a training has several

    def batches(
        self,
        part: str,
        *,
        rows: Tensor | None = None,
        batch_size: int | None = None,
        device: torch.device | None = None,
        labels: bool = True,
    ) -> Batches:
        """The batches of `train`, `validation` or `test` rows, or of some of them."""
        return Batches(
            self.data,
            getattr(self.split, part) if rows is None else rows,
            self.spec,
            self.transform,
            batch_size=batch_size or self.settings.batch_size,
            seed=self.settings.seed,
            device=device or torch.device("cpu"),
            shuffle=part == "train",
            labels=labels,
        )

    def in_order(self, rows: Tensor | None = None, *, batch_size: int = IN_ORDER) -> Batches:
        """Rows of the data, all by default, in their order, on the CPU."""
        rows = torch.arange(len(self.data)) if rows is None else rows
        cpu = torch.device("cpu")
        return Batches(
            self.data, rows, self.spec, self.transform, batch_size=batch_size, seed=0, device=cpu, shuffle=False
        )  # fmt: skip

    def rows(self, part: str) -> Tensor:
        """Row numbers of `train`, `validation`, `test` or `all` rows.

        Raises
        ------
        ConfigError
            If there is no such part, or it has no rows.
        """
        if part not in PARTS:
            raise unknown("split", part, PARTS)
        rows: Tensor = torch.arange(len(self.data)) if part == "all" else getattr(self.split, part)
        if len(rows) == 0:
            raise ConfigError(f"the run holds out no {part} rows; choose another --split")
        return rows

    def build(self, networks: Mapping[str, nn.Module] | None = None) -> Objective:
        """A fresh objective; initial weights are a function of the seed, torch's global state is left alone."""
        with own_noise(self.settings.seed):
            objective: Objective = build(self.objective_spec, networks)
        if self.settings.warmup != "none" and not objective.phases[0].warm_up(1.0):
            raise CompositionError(
                f"--objective {self.settings.objective} has no beta or other weight that a warm-up moves; leave "
                "--warmup out"
            )
        start_from(objective, self._first_rows)
        adopt(objective.model, self.adopted)
        return objective

    def _first_rows(self) -> Batch:
        """Evenly spaced training rows, as one batch."""
        some = evenly(self.split.train, STARTED_FROM)
        return next(self.batches("train", rows=some, batch_size=len(some)).fixed())


def prepare(settings: Settings, data: Data | None = None, parts: Split | None = None) -> Job:
    """Read the data, split and transform them, and settle every open setting.

    Parameters
    ----------
    settings
        May leave the number of epochs, the likelihood and the transform to be chosen.
    data
        Rows in memory already; by default `settings.source` is read.
    parts
        The split, where it is settled already.
    """
    recipe = recipes.find(settings.recipe)
    if data is None:
        data = load(settings.source, label=settings.label, drop=settings.drop, group=settings.group, kind=settings.kind)
    if parts is None:
        parts = split(data, settings.split, seed=settings.seed, validation=settings.validation, test=settings.test)
    transform_string, likelihood = recipes.choose_transform(data.spec, settings)
    transform = make_transform(transform_string, data.spec)
    spec = fit_spec(data, parts, transform, settings.scaling)
    if settings.condition == "label":
        spec = conditioned(spec, data, parts)
    settings = settings.model_copy(
        update={
            "transform": transform.name,
            "binarize": "none",
            "likelihood": likelihood,
            **_length(settings, len(parts.train)),
            "threads": settings.threads or torch.get_num_threads(),
        }
    )
    return Job(settings, data, parts, transform, spec, recipe.make(spec, settings))


def train(
    source: Settings | Job,
    *,
    checkpoints: Path | None = None,
    resume: bool = False,
    chosen: str | None = None,
    listeners: Sequence[Listener] = (),
    painter: Painter | None = None,
) -> tuple[Objective, TrainState, Job]:
    """Train to the end, in memory; `nelbo.runs.train_run` does the same into a run folder.

    Parameters
    ----------
    checkpoints
        Folder of checkpoints; without one nothing is kept.
    resume, chosen
        Whether to go on from the newest of them, or from one by its name.
    painter
        Makes pictures of the model at the rhythm of the settings; the listeners are handed them.

    Returns
    -------
    The objective with the weights to keep, the final state, and the job.
    """
    job = source if isinstance(source, Job) else prepare(source)
    settings = job.settings
    with threads(settings.threads), apart():
        trainer = make_trainer(job, checkpoints, listeners, painter)
        torch.manual_seed(settings.seed + 1)
        if resume:
            trainer.resume(chosen)
        state = trainer.fit()
    return trainer.objective, state, job


def make_trainer(
    job: Job,
    checkpoints: Path | None = None,
    listeners: Sequence[Listener] = (),
    painter: Painter | None = None,
) -> Trainer:
    """The trainer of a job, ready to fit."""
    settings = job.settings
    engine = Engine(settings.device, settings.precision, settings.compile)
    objective = job.build()
    labels = any(phase.reads_labels for phase in objective.phases)
    _try(objective, next(job.batches("train", rows=job.split.train[:TRIED], labels=labels).fixed()))
    places: dict[str, Any] = {"device": engine.device, "labels": labels}
    batches = job.batches("train", **places)
    steps = settings.steps or len(batches) * (settings.epochs or 1)
    plan = Plan(
        steps=steps,
        lr=settings.lr,
        lr_factor=lr_factor(settings.lr_schedule),
        optimiser=settings.optimizer,
        warmup=parse_schedule(settings.warmup, steps, len(batches)),
        clip=settings.clip,
        patience=settings.patience,
        keep_best=settings.keep == "best",
        time_limit=parse_duration(settings.time_limit),
        save=parse_rhythm("--checkpoint-every", settings.checkpoint_every),
        average=settings.ema,
        log=parse_rhythm("--log-every", settings.log_every),
        images=_images(settings.images_every),
    )
    held_out = None
    if len(job.split.validation):
        held_out = job.batches("validation", batch_size=max(settings.batch_size, 256), **places)
    kept = None if checkpoints is None else Checkpoints(checkpoints, settings.keep_checkpoints, job.stage)
    frozen = [objective.model.get_submodule(path) for path, taken in job.adopted.items() if taken.frozen]
    paint = None if painter is None else functools.partial(painter, objective.model)
    latents = _latent_watch(job, objective.model, len(batches), engine.device)
    return Trainer(objective, batches, held_out, plan, engine, kept, listeners, latents, paint, frozen)


def _images(text: str | None) -> Rhythm | None:
    rhythm = None if text is None else parse_rhythm("--images-every", text)
    if rhythm is not None and rhythm.steps is not None:
        raise ConfigError(f"--images-every {text}: pictures are made after epochs; write e.g. 10epochs or 10min")
    return rhythm


def _latent_watch(job: Job, model: Model, steps: int, device: torch.device) -> LatentWatch:
    """Looks at rows that are held out, where any are."""
    part = "validation" if len(job.split.validation) else "train"
    rows = evenly(getattr(job.split, part), LATENT_ROWS)
    batches = job.batches(part, rows=rows, batch_size=LATENT_ROWS).fixed()
    return LatentWatch(model, [batch.to(device) for batch in batches], steps)


@torch.no_grad()
def _try(objective: Objective, batch: Batch) -> None:
    """Let every phase look at a few rows, so that what cannot work says so before anything is written."""
    objective.eval()
    with apart():
        for phase in objective.phases:
            phase(batch)
    objective.train()


@dataclass(frozen=True)
class DryRun:
    """What a run would take, measured on a few of its own steps."""

    parameters: int
    memory_mb: float  # weights, gradients, optimiser slots and the data
    seconds_per_epoch: float
    epochs: int

    @property
    def seconds(self) -> float:
        return self.seconds_per_epoch * self.epochs


def dry_run(job: Job, steps: int = 20) -> DryRun:
    """Time a few steps of a job without keeping anything."""
    with threads(job.settings.threads), apart():
        trainer = make_trainer(job)
        taken = [time.perf_counter() for _ in itertools.islice(trainer.walk(), steps + 1)]
        times = [end - start for start, end in itertools.pairwise(taken)]
    batches = len(trainer.batches)
    weights = sum(p.numel() * p.element_size() for p in trainer.objective.parameters())
    slots = sum(
        t.numel() * t.element_size()
        for made in trainer.optimisers.values()
        for slot in made.state.values()
        for t in slot.values()
        if isinstance(t, torch.Tensor)
    )
    data = job.data.x.numel() * job.data.x.element_size()
    typical = sorted(times)[len(times) // 2]
    return DryRun(
        parameters=sum(p.numel() for p in trainer.objective.parameters()),
        memory_mb=(2 * weights + slots + data) / 2**20,
        seconds_per_epoch=typical * batches,
        epochs=math.ceil(trainer.plan.steps / batches),
    )


@contextmanager
def threads(number: int | None) -> Iterator[None]:
    """torch's threads for a while; they decide the order of sums, so a run records them."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _length(settings: Settings, rows: int) -> dict[str, Any]:
    """Epochs and patience where nobody chose them."""
    per_epoch = math.ceil(rows / settings.batch_size)
    chosen: dict[str, Any] = {}
    epochs = settings.epochs
    if settings.steps is not None:
        epochs = math.ceil(settings.steps / per_epoch)
    elif epochs is None:
        epochs = min(MOST, max(FEWEST, round(AIM_STEPS / per_epoch)))
        chosen["epochs"] = epochs
    if settings.patience is None and settings.steps is None and settings.validation != 0:
        chosen["patience"] = max(20, epochs // 4)
    return chosen
