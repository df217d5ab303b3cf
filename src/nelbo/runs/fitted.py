"""A fitted model that stands alone: with it, and nothing else, new rows are read, encoded, scored and made.

`model/` holds the weights and the spec, what a row of the user's data is (columns, kinds, order, units), how it is
transformed, and what baselines keep of the training rows. The training file, and the rest of the run, may be gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, final

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn

from nelbo.core import Model
from nelbo.data import Batches, Data, DataSpec, Transform
from nelbo.data import transform as make_transform
from nelbo.data.sources import Source
from nelbo.errors import DataError, NelboError, RunError, StorageError
from nelbo.runs.codes import codes_of
from nelbo.runs.folder import Run
from nelbo.runs.rows import matched, read_rows
from nelbo.runs.weights import load_model, read_about, save_model
from nelbo.solvers.baselines import FittedBaselines, fit_baselines, values_seen
from nelbo.storage import read_tensors, write_tensors
from nelbo.train.job import Job

__all__ = ["About", "Fitted", "TrainingRows", "load"]

BATCH = 500
BASELINES, READS = "baselines.safetensors", "reads"
DEEPEST = 5  # models of codes of codes


@final
class About(BaseModel):
    """What a fitted model knows of the data that it was trained on, as it stands in its `config.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    raw: DataSpec  # as the user has them
    modelled: DataSpec  # as the likelihood sees them, with their scaling
    transform: str  # from the one to the other, a part string
    label: str | None = None  # the column or array of labels, looked for in other data too
    group: str | None = None
    stored_as: Literal["uint8", "float32"] = "float32"  # how the training rows were held
    low: float = 0.0  # range of the training values, for pictures
    high: float = 1.0
    threads: int | None = Field(default=None, ge=1, le=1024)  # of the training: they decide the order of sums

    @model_validator(mode="after")
    def _are_of_one_shape(self) -> Self:
        if self.raw.event_shape != self.modelled.event_shape:
            raise ValueError("rows before and after the transform are of different shapes")
        return self

    @classmethod
    def of(cls, job: Job) -> Self:
        """What a job knows."""
        x, settings = job.data.x, job.settings
        return cls(
            raw=job.data.spec,
            modelled=job.spec,
            transform=job.transform.name,
            label=settings.label,
            group=settings.group,
            stored_as="uint8" if x.dtype == torch.uint8 else "float32",
            low=float(x.min()),
            high=float(x.max()),
            threads=settings.threads,
        )


@final
@dataclass(frozen=True, eq=False)
class TrainingRows:
    """The rows that a model was trained on, where they are at hand."""

    data: Data
    rows: Tensor  # row numbers


@final
@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted model with all that is needed to use it; new rows are anything that `nelbo.load_data` reads."""

    model: Model  # in evaluation mode
    about: About
    transform: Transform
    baselines: FittedBaselines | None = None  # None where a likelihood compares with none, or they were not kept
    folder: Path | None = None  # of its run
    reads: Fitted | None = None  # the earlier model whose codes this one models

    @classmethod
    def of(cls, job: Job, model: Model, *, with_baselines: bool = True) -> Self:
        """The model of a job, in memory; baselines are fitted to the job's training rows."""
        kept = None
        if with_baselines and model.abilities.density:
            x, _ = values_seen(job.in_order(job.split.train).fixed())
            kept = fit_baselines(x, job.spec, model.latent)
        return cls(model.eval(), About.of(job), job.transform, kept)

    @property
    def raw(self) -> DataSpec:
        """Of the data as the user has them."""
        return self.about.raw

    @property
    def spec(self) -> DataSpec:
        """Of the data as the likelihood sees them."""
        return self.about.modelled

    def read(self, source: Source | Data, label: str | None = None) -> Data:
        """Other rows, read as the training rows were.

        Columns of a table are found by their names, whatever their order; those the model was not trained on are left
        aside. The label column of the training data is read where the other data have it.

        Raises
        ------
        DataError
            If they cannot be read, lack a column, or are of another shape or kind than the model was trained on.
        """
        about = self.about
        if self.reads is not None and not (isinstance(source, Data) and source.are_codes):
            return codes_of(self.reads, self.reads.read(source, label))
        if isinstance(source, Data):
            return matched(source, about.raw, about.modelled)
        return read_rows(source, about.raw, about.modelled, label, about.label, about.group)

    def batches(self, data: Data, rows: Tensor | None = None, *, batch_size: int = BATCH) -> Batches:
        """Rows of data in their order, transformed as in training."""
        rows = torch.arange(len(data)) if rows is None else rows
        cpu = torch.device("cpu")
        return Batches(
            data, rows, self.spec, self.transform, batch_size=batch_size, seed=0, device=cpu, shuffle=False
        )  # fmt: skip

    def save(self, folder: Path) -> None:
        """Write it as a folder that stands alone, `config.json` last."""
        if self.reads is not None:
            self.reads.save(folder / READS / "model")
        if self.baselines is not None:
            write_tensors(folder / BASELINES, self.baselines.tensors())
        save_model(folder, self.model, {"about": self.about.model_dump(mode="json")})


def row_numbers(data: Data, rows: Tensor | None) -> Tensor:
    """The rows that were asked for, all where none were.

    Raises
    ------
    DataError
        If the data have no such row.
    """
    if rows is None:
        return torch.arange(len(data))
    rows = torch.as_tensor(rows)
    if rows.dtype.is_floating_point or rows.dtype == torch.bool or rows.dim() != 1:
        raise DataError(f"rows are whole numbers in one list, not {rows.dtype} of shape {tuple(rows.shape)}")
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(data):
        raise DataError(
            f"rows {int(rows.min())} to {int(rows.max())} were asked for, but there are 0 to {len(data) - 1}"
        )
    return rows.long()


def load(folder: Path | str | Run, networks: Mapping[str, nn.Module] | None = None) -> Fitted:
    """The fitted model of a run; of the run's folder only `model/` is read, and the training data need not be there.

    Parameters
    ----------
    folder
        Of a run, or its `model/`.
    networks
        Modules of the user's own by their path, e.g. `{"posterior.network": net}`.

    Raises
    ------
    RunError
        If there is no fitted model.
    StorageError
        If it is damaged, altered, or of another format.
    ConfigError
        If a plugin that it was trained with is not loaded.
    """
    run = folder if isinstance(folder, Run) else Run(folder)
    place = run.folder / "model"
    if not place.is_dir() and (run.folder / "model.safetensors").exists():
        place = run.folder
    if not (place / "config.json").exists():
        if run.exists:
            raise RunError(
                f"{run.folder} holds no trained model yet; finish it with: nelbo train --resume {run.folder}"
            )
        raise RunError(f"{run.folder} is not a run (it has no model/config.json); nelbo runs lists those there are")
    if place.parts.count(READS) > DEEPEST:
        raise StorageError(f"{place} is a model of codes of codes without end; restore it from a copy")
    about = _about(read_about(place), place)
    model = load_model(place, networks)
    try:
        transform = make_transform(about.transform, about.raw)
    except NelboError as problem:
        raise StorageError(f"{place}/config.json is damaged ({problem}); restore it from a copy") from None
    kept = None
    if (place / BASELINES).exists():
        tensors, _ = read_tensors(place / BASELINES)
        kept = FittedBaselines.from_tensors(tensors, about.modelled, model.latent)
    reads = load(place / READS) if (place / READS).is_dir() else None
    return Fitted(model, about, transform, kept, run.folder, reads)


def _about(config: Mapping[str, Any], place: Path) -> About:
    try:
        return About.model_validate(config.get("about"))
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"])) or "about"
        raise StorageError(
            f"{place}/config.json is damaged ({where}: {first['msg']}); restore it from a copy"
        ) from None
