"""A prior fitted afterwards, as a stage that adds to a finished run: encoder and decoder stay as they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from nelbo.core import Model
from nelbo.distributions.drawing import rsample_with_log_prob
from nelbo.errors import ConfigError, RunError
from nelbo.noise import apart
from nelbo.registry import parse_part
from nelbo.runs.folder import Run, claim
from nelbo.runs.kept import has_rows
from nelbo.runs.staged import reopen, stage_job, train_stages
from nelbo.storage import digest
from nelbo.train.job import Job, make_trainer, prepare, threads
from nelbo.train.monitor import Listener
from nelbo.train.stages import Stage, Stored, parse_stages

__all__ = ["Gain", "PriorFit", "fit_prior", "record_gain"]

STAGE = "prior"
AIM_STEPS, FEWEST, MOST = 4_000, 10, 400  # of a fit whose length nobody chose; epochs
DRAWS = 10  # of z a row, for the comparison
ROWS = 100  # decoded together, times the draws
LEARNS = "--prior normal, mixture:components=10, flow or second-stage"


@final
@dataclass(frozen=True, eq=False)
class Gain:
    """The bound with the old prior and with the new one, at the same draws of z; nats per datum, float64.

    Everything else in the bound is the same, so the gain of a row is that of its mean log p(z): it varies far less from
    row to row than the bounds do, and its standard error is that of the paired difference.
    """

    part: str  # of the split: validation, or train where no rows were held out
    before: Tensor | None  # [N]; None where the posterior is a point, which has no bound
    after: Tensor | None
    gain: Tensor  # [N]

    def as_json(self) -> dict[str, Any]:
        """Means over the rows, with their standard errors."""
        return {
            "split": self.part,
            "n": len(self.gain),
            "bound_before": _mean(self.before),
            "bound_before_standard_error": _error(self.before),
            "bound_after": _mean(self.after),
            "bound_after_standard_error": _error(self.after),
            "gain": _mean(self.gain),
            "gain_standard_error": _error(self.gain),
        }


@final
@dataclass(frozen=True, eq=False)
class PriorFit:
    """The new run, and what it gained."""

    run: Run
    gain: Gain


def fit_prior(
    run: Run | Path | str,
    prior: str,
    *,
    output: Path | str | None = None,
    overwrite: bool = False,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float = 2e-3,
    patience: int | None = None,
    seed: int = 0,
    listeners: Sequence[Listener] = (),
) -> PriorFit:
    """Fit another prior to a trained run's codes by maximum likelihood; encoder and decoder stay as they are.

    Training rows are encoded afresh at each epoch, with a new draw of q(z given x), so that what is fitted is the
    aggregate posterior; validation rows' codes decide when to stop. The new run is one like any other, with the
    metrics of the training it stems from; the fit's own are in `prior-metrics.jsonl`. The old run is left as it was. A
    fit that was killed goes on with `nelbo train --resume`.

    Parameters
    ----------
    run
        A trained run, or its folder.
    prior
        A part string of a prior that learns and that is over the same latents: `normal`, `mixture:components=10`,
        `vamp`, `flow`, `second-stage`.
    output
        Folder of the new run (default: a fresh number beside the old one).
    overwrite
        Whether a run in that folder is moved aside; else it is an error.
    epochs, batch_size, lr, patience, seed
        Of this fit: by default about 4,000 steps of the run's own batch size, stopped after a quarter of its epochs
        without a better validation loss.
    listeners
        Told of steps and epochs.

    Raises
    ------
    RunError
        If the run is not trained, or the folder holds something already.
    ConfigError
        If the prior has nothing to fit, or the run's recipe leaves no choice of prior.
    CompositionError
        If the prior is over other latents than the posterior.

    References
    ----------
    Dai and Wipf (2019), arXiv:1903.05789 (a second-stage VAE); Ghosh et al. (2020), From variational to
    deterministic autoencoders, arXiv:1903.12436 (a mixture, on the codes of an autoencoder).
    """
    old = run if isinstance(run, Run) else Run(run)
    fitted, before = old.load(), reopen(old)
    folder = claim(None, root=old.folder.absolute().parent) if output is None else Path(output)
    _check_folder(folder, old, overwrite)
    if fitted.reads is not None:
        raise ConfigError(f"{old.folder} models the codes of an earlier stage; fit a prior to a model of the rows")
    base = prepare(before.settings.model_copy(update={"prior": prior}), before.data, before.split)
    _check_prior(base, prior)
    kept = [name for name, part in fitted.model.named_children() if part not in fitted.model.sides().prior]
    weights = fitted.model.state_dict()
    taken = {name: Stored(of=str(old.folder.resolve()), path=name, sha256=digest(weights)) for name in kept}
    taken = {name: each for name, each in taken.items() if any(key.startswith(f"{name}.") for key in weights)}
    stage = Stage(
        name=STAGE,
        changes=_changes(base, epochs, batch_size, lr, patience, seed),
        objective="aggregate",
        stored=taken,
        is_after=True,
    )
    make_trainer(stage_job(stage, base, {}))  # what cannot be fitted is refused here, before any folder is touched
    folder = claim(folder, overwrite=overwrite)
    new = train_stages(base, [stage], folder, rows_too=has_rows(old.folder), listeners=listeners)
    return PriorFit(new, record_gain(new))


def record_gain(run: Run) -> Gain:
    """What the new prior of a run gained over the old one, kept in the run's configuration.

    Raises
    ------
    RunError
        If the run that it stems from is gone.
    """
    config = run.config()
    stage = parse_stages(config["stages"])[-1]
    source = Run(next(iter(stage.stored.values())).of)
    old, new, job = source.load(), run.load(), reopen(run)
    settings = source.config()["settings"]
    with threads(job.settings.threads), apart():
        gain = _gain(job, old.model, new.model)
    fit = {name: stage.changes[name] for name in ("lr", "batch_size", "seed")}
    record: dict[str, Any] = {
        "of": str(source.folder),
        "prior": {"before": settings["prior"], "after": config["settings"]["prior"]},
        "fit": fit,
        **gain.as_json(),
    }
    run.write_config({**config, "refit": record})
    return gain


def _changes(
    base: Job, epochs: int | None, batch_size: int | None, lr: float, patience: int | None, seed: int
) -> dict[str, Any]:
    """The settings of the fit: a plain one, whatever the training was."""
    size = batch_size or base.settings.batch_size
    steps = math.ceil(len(base.split.train) / size)
    length = min(MOST, max(FEWEST, round(AIM_STEPS / steps))) if epochs is None else epochs
    nothing = dict.fromkeys(("clip", "ema", "time_limit", "images_every"))
    return {
        **nothing,
        "warmup": "none",
        "log": [],
        "epochs": length,
        "batch_size": size,
        "lr": lr,
        "lr_schedule": "cosine",
        "optimizer": "adam",
        "patience": max(10, length // 4) if patience is None else patience,
        "keep": "best",
        "seed": seed,
        "precision": "float32",
        "compile": False,
    }


def _check_folder(folder: Path, old: Run, overwrite: bool) -> None:
    """Refuse a folder that may not be taken; nothing is moved before there is something to put in its place."""
    new, source = folder.resolve(), old.folder.resolve()
    if new == source or new in source.parents or source in new.parents:
        raise RunError(
            f"{folder} is the run whose codes are fitted, holds it or lies in it, and that run stays as it is; choose "
            "another -o"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise RunError(f"{folder} exists; choose another -o, or give --overwrite (the old one is kept aside)")


def _check_prior(job: Job, prior: str) -> None:
    """Refuse a prior that the recipe does not take, or that has nothing to fit."""
    name, spec = parse_part(prior)[0], job.objective_spec["model"]
    part = spec.get("prior", {}).get("part")
    if part != f"prior/{name}":
        raise ConfigError(
            f"the recipe {job.settings.recipe!r} brings its own prior{'' if part is None else f', {part!r}'}, so that "
            f"--prior {name} changes nothing; train with a recipe that leaves the choice, such as vae"
        )
    if not job.build().model.sides().prior_learns:
        raise ConfigError(f"the prior {name!r} has nothing to fit; give one that learns, such as {LEARNS}")


@torch.no_grad()
def _gain(job: Job, old: Model, new: Model) -> Gain:
    """Both bounds at the same draws of z, on rows that decided nothing but when to stop."""
    part = "validation" if len(job.split.validation) else "train"
    before, after, gain = [], [], []
    torch.manual_seed(0)
    for batch in job.batches(part, batch_size=ROWS, labels=False).fixed():
        z, log_qz = rsample_with_log_prob(old.encode(batch), DRAWS, density=old.abilities.density)
        joint = [model.log_joint(batch, z).double() for model in (old, new)]
        gain.append((joint[1] - joint[0]).mean(0))
        if log_qz is not None:
            bounds = [(each - log_qz.double()).mean(0) for each in joint]
            before.append(bounds[0])
            after.append(bounds[1])
    return Gain(
        part, torch.cat(before) if before else None, torch.cat(after) if after else None, torch.cat(gain)
    )  # fmt: skip


def _mean(values: Tensor | None) -> float | None:
    return None if values is None else float(values.mean())


def _error(values: Tensor | None) -> float | None:
    return None if values is None or len(values) < 2 else float(values.std() / math.sqrt(len(values)))
