"""The run folder: what one training leaves behind, and how it is found again.

`config.json` (everything that was decided), `metrics.jsonl` (a line an epoch), `steps.jsonl` (one for each step that
was looked at), `checkpoints/step-*.safetensors`, `images/`, `model/` (`config.json` and `model.safetensors`),
`evaluation-*.json`, `measures-*.json`, `report.html`. Every write is atomic; loading executes nothing.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from nelbo import plugins
from nelbo.core import Model
from nelbo.data import Data, DataSpec
from nelbo.data.datasets import NAMES
from nelbo.errors import ConfigError, RunError, StorageError, TrainingError
from nelbo.noise import apart
from nelbo.registry import OF_A_MODEL, Spec, build, spec_of
from nelbo.settings import Settings, resolve
from nelbo.storage import digest, read_json, read_lines, read_tensors, sweep, tensor_shapes, write_json, write_tensors
from nelbo.train.images import ImagesFolder, Painter
from nelbo.train.job import Job, prepare, train
from nelbo.train.loggers import open_loggers
from nelbo.train.monitor import Listener, MetricsFile, StepsFile

MODEL_FORMAT = 1
FAILED = "failed: "  # how the reason of a training that could not go on starts


@final
class Run:
    """One run on disk; nothing is read until it is asked for."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @property
    def metrics_file(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def steps_file(self) -> Path:
        return self.folder / "steps.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def report_file(self) -> Path:
        return self.folder / "report.html"

    @property
    def exists(self) -> bool:
        return (self.folder / "config.json").exists()

    @property
    def is_complete(self) -> bool:
        return (self.folder / "model" / "config.json").exists()

    def config(self) -> dict[str, Any]:
        """What was decided before the first step.

        Raises
        ------
        RunError
            If the folder is no run.
        """
        if not self.exists:
            raise RunError(f"{self.folder} is not a run (it has no config.json); nelbo runs lists those there are")
        config: dict[str, Any] = read_json(self.folder / "config.json")
        if int(config.get("format", 0)) > 1:
            raise StorageError(f"{self.folder} was written by a newer nelbo; upgrade nelbo")
        return config

    def metrics(self) -> list[dict[str, Any]]:
        """One record an epoch."""
        return read_lines(self.metrics_file)

    def steps(self) -> list[dict[str, Any]]:
        """One record for each step that was looked at."""
        return read_lines(self.steps_file)

    def state(self) -> dict[str, Any]:
        """How the training ended; empty while it has not."""
        path = self.folder / "state.json"
        return read_json(path) if path.exists() else {}

    def load_model(self, networks: Mapping[str, nn.Module] | None = None) -> Model:
        """The fitted model, in evaluation mode.

        Parameters
        ----------
        networks
            Modules of the user's own by their path, e.g. `{"posterior.network": net}`.

        Raises
        ------
        RunError
            If training has not ended yet.
        StorageError
            If the weights are damaged, altered, or not those of this model.
        ConfigError
            If a plugin that the run was trained with is not loaded.
        """
        self.config()
        if not self.is_complete:
            raise RunError(
                f"{self.folder} holds no trained model yet; finish it with: nelbo train --resume {self.folder}"
            )
        return load_model(self.folder / "model", networks)

    def write_config(self, config: Mapping[str, Any]) -> None:
        write_json(self.folder / "config.json", config)

    def write_state(self, state: Mapping[str, Any]) -> None:
        write_json(self.folder / "state.json", state)

    def write_model(self, model: Model, data: DataSpec) -> None:
        save_model(self.folder / "model", model, data)

    def write_evaluation(self, content: Mapping[str, Any]) -> None:
        """Keep the last evaluation of a split; that of a discrete counterpart beside the run's own."""
        name = f"{content['split']}-discrete" if content.get("discrete") else str(content["split"])
        write_json(self.folder / f"evaluation-{name}.json", content)

    def write_measures(self, split: str, found: Mapping[str, Any]) -> None:
        """Keep what was measured on a split, beside what was measured before."""
        write_json(self.folder / f"measures-{split}.json", {**self.measures(split), **found})

    def measures(self, split: str = "test") -> dict[str, Any]:
        """What was measured on a split, by the part string of the measure."""
        path = self.folder / f"measures-{split}.json"
        return read_json(path) if path.exists() else {}

    def evaluation(self, split: str = "test") -> dict[str, Any] | None:
        path = self.folder / f"evaluation-{split}.json"
        return read_json(path) if path.exists() else None


def fit(
    source: Settings | Job,
    folder: Path,
    *,
    resume: bool = False,
    checkpoint: str | None = None,
    listeners: Sequence[Listener] = (),
    painter: Painter | None = None,
) -> Run:
    """Train into a run folder, or go on with what it holds: from its newest checkpoint, or from one by its name.

    Its figures go to the files of the run and to the loggers of the settings. What a training failed of stays in the
    run's state, for whoever looks for the reason later.
    """
    run = Run(folder)
    if resume:
        _refuse_refit(run)
        sweep(run.folder)
    job = source if isinstance(source, Job) else prepare(source)
    files = [MetricsFile(run.metrics_file), StepsFile(run.steps_file), ImagesFolder(run.folder / "images")]
    try:
        with open_loggers(job.settings.log, run.folder, job.settings) as loggers:
            objective, state, _ = train(
                job,
                checkpoints=run.checkpoints,
                resume=resume,
                chosen=checkpoint,
                listeners=[_Opening(run, job, write=not resume), *files, *loggers, *listeners],
                painter=painter,
            )
    except TrainingError as problem:
        run.write_state({"stopped": f"{FAILED}{problem}"})
        raise
    run.write_model(objective.model, job.spec)
    run.write_state(state.as_json())
    return run


def last_of(records: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """The last figures of a kind that not every epoch has, as `latents`; empty where there are none."""
    return next((dict(record[name]) for record in reversed(records) if record.get(name)), {})


@final
class _Opening(Listener):
    """Writes `config.json` when training starts: what is refused before then leaves no folder."""

    def __init__(self, run: Run, job: Job, write: bool) -> None:
        self._run, self._job, self._write = run, job, write

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:
        if self._write:
            self._run.write_config(describe(self._job))


def describe(job: Job) -> dict[str, Any]:
    """`config.json`: the resolved settings, what the data are, and what they ran on."""
    from nelbo import __version__

    return {
        "format": 1,
        "settings": job.settings.model_dump(mode="json") | {"source": _findable(job.settings.source)},
        "data": {
            "spec": job.spec.model_dump(mode="json"),
            "sha256": job.data.sha256,
            "rows": len(job.data),
            "split": {
                "how": job.split.how,
                "train": len(job.split.train),
                "validation": len(job.split.validation),
                "test": len(job.split.test),
                "notes": list(job.split.notes),
            },
        },
        "objective": dict(job.objective_spec),
        "plugins": plugins.used_by(job.objective_spec),
        "versions": {"nelbo": __version__, "torch": str(torch.__version__), "python": platform.python_version()},
        "machine": machine(),
    }


def _findable(source: str) -> str:
    """A name as it is; a path from the root, so that the run can be used from another folder."""
    return source if source in NAMES else str(Path(source).absolute())


def machine() -> dict[str, Any]:
    """Cores and CPU model, for figures that depend on them."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {"cores": os.cpu_count() or 1, "cpu": model, "system": platform.system()}


def reopen(run: Run, data: Data | None = None) -> Job:
    """The job of a run again, from its configuration; the data must be those it was trained on.

    Raises
    ------
    ConfigError
        If the data changed since, or the run needs a plugin that was not loaded.
    """
    config = run.config()
    plugins.require(config.get("plugins", ()), str(run.folder))
    settings = resolve(config["settings"])
    job = prepare(settings, data)
    if job.data.sha256 != config["data"]["sha256"]:
        raise ConfigError(
            f"{settings.source!r} no longer holds the data that {run.folder} was trained on (its content differs); "
            "restore them, or give other data explicitly with --data"
        )
    return job


def save_model(folder: Path, model: Model, data: DataSpec) -> None:
    """Weights and spec, weights first: a `config.json` says that the folder is whole."""
    spec, weights = spec_of(model), model.state_dict()
    write_tensors(folder / "model.safetensors", weights)
    content = {
        "format": MODEL_FORMAT,
        "spec": spec,
        "plugins": plugins.used_by(spec),
        "data": data.model_dump(mode="json"),
        "weights_sha256": digest(weights),
    }
    write_json(folder / "config.json", content)


def load_model(folder: Path, networks: Mapping[str, nn.Module] | None = None) -> Model:
    """A model from its folder, in evaluation mode; nothing but constructors of a model's parts runs.

    Parts that came from a plugin must be registered already: see `nelbo.load_plugin`.
    """
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("spec"), dict):
        raise StorageError(f"{folder}/config.json does not describe a model (it has no spec); restore it from a copy")
    if int(config.get("format", 0)) > MODEL_FORMAT:
        raise StorageError(f"{folder} was written by a newer nelbo (format {config['format']}); upgrade nelbo")
    plugins.require(config.get("plugins", ()), str(folder.parent if folder.name == "model" else folder))
    spec, file = config["spec"], folder / "model.safetensors"
    _check_sizes(spec, networks, file)
    with apart():  # initial weights are drawn, then overwritten
        model: Model = build(spec, networks, kinds=OF_A_MODEL)
    weights, _ = read_tensors(file)
    if config.get("weights_sha256") not in {None, digest(weights)}:
        raise StorageError(f"{folder}/model.safetensors is not the file its config.json names; restore it from a copy")
    model.load_state_dict(weights)
    model.eval()
    return model


def _check_sizes(spec: Spec, networks: Mapping[str, nn.Module] | None, file: Path) -> None:
    """Refuse a spec whose weights are not those of the file, before anything is allocated for them.

    Raises
    ------
    StorageError
        If names or shapes differ, or the spec is of no model.
    """
    try:
        with torch.device("meta"), apart():
            model = build(spec, networks, kinds=OF_A_MODEL)
    except (RuntimeError, NotImplementedError):  # a part of the user's own that looks at values
        if not plugins.used_by(spec) and not networks:
            raise
        return
    if not isinstance(model, Model):
        raise StorageError(f"{file.parent}/config.json describes no model but {spec['part']!r}; restore it from a copy")
    needed = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = tensor_shapes(file)
    wrong = sorted(name for name in {*needed, *found} if needed.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise StorageError(
            f"{file} does not fit its config.json: {name} is {_size(found.get(name))} in the one and "
            f"{_size(needed.get(name))} in the other; restore both from a copy"
        )


def _size(shape: tuple[int, ...] | None) -> str:
    return "missing" if shape is None else " x ".join(map(str, shape)) or "one number"


def claim(folder: Path | None, *, resume: bool = False, overwrite: bool = False, root: Path = Path("runs")) -> Path:
    """The folder a new training may use.

    Without a name a fresh numbered one is taken under `root`. An existing run is only taken to be resumed, or moved
    aside (`name.old-1`), never destroyed.

    Raises
    ------
    RunError
        If the folder holds something and neither was asked for, or there is nothing to resume.
    """
    if folder is None:
        if resume:
            raise RunError("--resume needs to know which run; name it with --run DIR")
        return _fresh(root)
    if resume:
        if not Run(folder).exists:
            raise RunError(f"there is no run to resume in {folder}; start it without --resume")
        _refuse_refit(Run(folder))
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not overwrite:
            raise RunError(
                f"{folder} exists; go on with --resume, start anew with --overwrite (the old one is kept aside)"
            )
        _move_aside(folder)
    return folder


def _refuse_refit(run: Run) -> None:
    """A run whose prior was fitted afterwards has no training of its own to go on with."""
    refit = run.config().get("refit") if run.exists else None
    if refit is not None:
        raise RunError(
            f"the prior of {run.folder} was fitted afterwards, so there is no training to go on with; resume "
            f"{refit['of']} and then fit the prior again with nelbo fit-prior"
        )


def runs(root: Path = Path("runs")) -> Iterator[Run]:
    """The runs below a folder, by name."""
    if not root.is_dir():
        return iter(())
    return (Run(path.parent) for path in sorted(root.rglob("config.json")) if path.parent.name != "model")


def _fresh(root: Path) -> Path:
    numbers = [int(p.name) for p in root.iterdir() if re.fullmatch(r"\d+", p.name)] if root.is_dir() else []
    return root / f"{max(numbers, default=0) + 1:03d}"


def _move_aside(folder: Path) -> None:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    try:
        folder.rename(aside)
    except OSError as problem:
        raise RunError(f"cannot move {folder} aside ({problem.strerror}); choose another --run") from problem
