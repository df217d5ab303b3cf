"""A prior fitted afterwards: to the codes of a trained run, whose encoder and decoder stay as they are."""

from __future__ import annotations

import math
import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from nelbo.core import Model
from nelbo.data import Batches
from nelbo.distributions.drawing import rsample_with_log_prob
from nelbo.errors import ConfigError, RunError
from nelbo.models.latent import LatentVariableModel
from nelbo.noise import apart
from nelbo.objectives import AggregatePosterior
from nelbo.objectives.schedules import parse_schedule
from nelbo.registry import parse_part, spec_of
from nelbo.runs import Fitted, Run, claim, reopen
from nelbo.runs.training import describe
from nelbo.storage import write_json
from nelbo.train.engine import Engine
from nelbo.train.job import Job, prepare, threads
from nelbo.train.monitor import Listener, MetricsFile
from nelbo.train.optimisers import lr_factor
from nelbo.train.trainer import Plan, Trainer

__all__ = ["Gain", "PriorFit", "fit_prior"]

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
    metrics of the training it stems from; the fit's own are in `prior-metrics.jsonl`. It appears whole or not at all,
    and the old run is left as it was.

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
    old_run = run if isinstance(run, Run) else Run(run)
    old = _latent_model(old_run.load().model)
    folder = _free(Path(output) if output is not None else claim(None, root=old_run.folder.parent), old_run, overwrite)
    before = reopen(old_run)
    job = prepare(before.settings.model_copy(update={"prior": prior}), before.data)
    model = _with_new_prior(job, old)
    config: dict[str, Any] = {
        "of": str(old_run.folder.absolute()),
        "prior": {"before": before.settings.prior, "after": prior},
        "fit": {"lr": lr, "batch_size": batch_size or job.settings.batch_size, "seed": seed},
    }
    temporary = folder.with_name(f".{folder.name}.tmp-{uuid.uuid4().hex[:8]}")
    try:
        with threads(job.settings.threads), apart():
            trainer = _trainer(job, model, temporary, epochs, config["fit"], patience, listeners)
            torch.manual_seed(seed + 1)
            state = trainer.fit()
            gain = _gain(job, old, model)
        config["fit"] |= {"epochs": state.epoch, "steps": state.step, "stopped": state.stopped}
        _write(Run(temporary), old_run, model, job, {**config, **gain.as_json()})
        if folder.exists():
            claim(folder, overwrite=overwrite)  # moves a run aside
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # renamed by now, unless something went wrong
    return PriorFit(Run(folder), gain)


def _latent_model(model: Model) -> LatentVariableModel:
    if not isinstance(model, LatentVariableModel):
        raise ConfigError(f"{type(model).__name__} has no single prior; give a run of a model with one")
    return model


def _free(folder: Path, old: Run, overwrite: bool) -> Path:
    """The folder, if it may be taken; nothing is moved before there is something to put in its place."""
    if folder.absolute() == old.folder.absolute():
        raise RunError(f"{folder} is the run whose codes are fitted, and it stays as it is; choose another -o")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not overwrite:
        raise RunError(f"{folder} exists; choose another -o, or give --overwrite (the old one is kept aside)")
    return folder


def _with_new_prior(job: Job, old: LatentVariableModel) -> LatentVariableModel:
    """A fresh prior beside the posterior and the likelihood of the old model."""
    model = _latent_model(job.build().model)
    name = parse_part(job.settings.prior)[0]
    if spec_of(model.prior)["part"] != f"prior/{name}":
        raise ConfigError(
            f"the recipe {job.settings.recipe!r} brings its own prior, {spec_of(model.prior)['part']!r}, so that "
            f"--prior {name} changes nothing; train with a recipe that leaves the choice, such as vae"
        )
    if not any(p.requires_grad for p in model.prior.parameters()):
        raise ConfigError(f"the prior {name!r} has nothing to fit; give one that learns, such as {LEARNS}")
    model.posterior.load_state_dict(old.posterior.state_dict())
    model.likelihood.load_state_dict(old.likelihood.state_dict())
    return model.eval()


def _trainer(
    job: Job,
    model: LatentVariableModel,
    folder: Path,
    epochs: int | None,
    fit: Mapping[str, Any],
    patience: int | None,
    listeners: Sequence[Listener],
) -> Trainer:
    engine = Engine(job.settings.device)
    model.to(engine.device)
    settings = job.settings.model_copy(update={"batch_size": fit["batch_size"], "seed": fit["seed"]})
    places: dict[str, Any] = {"device": engine.device, "labels": False}
    job = Job(settings, job.data, job.split, job.transform, job.spec, job.objective_spec)
    batches = job.batches("train", **places)
    if epochs is None:
        epochs = min(MOST, max(FEWEST, round(AIM_STEPS / len(batches))))
    plan = Plan(
        steps=epochs * len(batches),
        lr=fit["lr"],
        lr_factor=lr_factor("cosine"),
        optimiser="adam",
        warmup=parse_schedule("none", epochs * len(batches), len(batches)),
        patience=max(10, epochs // 4) if patience is None else patience,
    )
    held_out: Batches | None = None
    if len(job.split.validation):
        held_out = job.batches("validation", batch_size=max(settings.batch_size, 256), **places)
    metrics = MetricsFile(folder / "prior-metrics.jsonl")
    objective = AggregatePosterior(model)
    return Trainer(objective, batches, held_out, plan, engine, listeners=[metrics, *listeners])


@torch.no_grad()
def _gain(job: Job, old: LatentVariableModel, new: LatentVariableModel) -> Gain:
    """Both bounds at the same draws of z, on rows that decided nothing but when to stop."""
    part = "validation" if len(job.split.validation) else "train"
    old.eval().cpu()
    new.eval().cpu()
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


def _write(run: Run, old: Run, model: LatentVariableModel, job: Job, record: Mapping[str, Any]) -> None:
    """A run like any other, with the metrics of the training it stems from; `config.json` last, which makes it one."""
    if old.metrics_file.exists():
        shutil.copyfile(old.metrics_file, run.metrics_file)
    run.write_state(old.state())
    Fitted.of(job, model).save(run.folder / "model")
    config = describe(job)
    write_json(run.folder / "config.json", {**config, "refit": dict(record)})


def _mean(values: Tensor | None) -> float | None:
    return None if values is None else float(values.mean())


def _error(values: Tensor | None) -> float | None:
    return None if values is None or len(values) < 2 else float(values.std() / math.sqrt(len(values)))
