"""What a logger is, and how one is found."""

from __future__ import annotations

import importlib
import importlib.util
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from nelbo.errors import MissingExtraError, unknown
from nelbo.settings import Settings
from nelbo.train.monitor import EpochRecord, Listener, StepRecord

_CLASSES = {"tensorboard": "TensorBoardLogger", "mlflow": "MLflowLogger", "wandb": "WandbLogger"}
_PACKAGES = {"tensorboard": ("tensorboard",), "mlflow": ("mlflow", "sqlalchemy", "alembic"), "wandb": ("wandb",)}


class Logger(Listener):
    """A listener that keeps what it is told elsewhere.

    Parameters
    ----------
    folder
        Of the run.
    settings
        Of the run, kept beside its figures.
    """

    @abstractmethod
    def __init__(self, folder: Path, settings: Settings) -> None: ...

    @abstractmethod
    def close(self) -> None:
        """Let go, however the training ended."""


def require(names: Sequence[str]) -> None:
    """See that loggers are known and what they need is installed.

    Raises
    ------
    ConfigError
        If there is none of a name.
    MissingExtraError
        If a package is missing.
    """
    for name in names:
        if name not in _CLASSES:
            raise unknown("logger", name, _CLASSES)
        missing = [package for package in _PACKAGES[name] if importlib.util.find_spec(package) is None]
        if missing:
            raise MissingExtraError(f"--log {name} needs {missing[0]}; install it with: pip install 'nelbo[{name}]'")


@contextmanager
def open_loggers(names: Sequence[str], folder: Path, settings: Settings) -> Iterator[list[Logger]]:
    """The loggers of some names, closed at the end of the context."""
    require(names)
    with ExitStack() as stack:
        loggers: list[Logger] = []
        for name in dict.fromkeys(names):
            made = getattr(importlib.import_module(f"nelbo.train.loggers.{name}"), _CLASSES[name])
            logger: Logger = made(folder, settings)
            stack.callback(logger.close)
            loggers.append(logger)
        yield loggers


def of_epoch(record: EpochRecord) -> dict[str, float]:
    """The finite figures of an epoch by name: `train/bound`, `gradients/posterior`, `latents/kl/003`."""
    return dict(_scalars({k: v for k, v in record.as_json().items() if k != "step"}))


def of_step(record: StepRecord) -> dict[str, float]:
    """Those of a step, below `step/`."""
    content = {k: v for k, v in record.as_json().items() if k not in {"step", "epoch", "train"}}
    return {f"step/{name}": value for name, value in _scalars({**record.as_json()["train"], **content})}


def _scalars(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    for name, value in content.items():
        path = f"{before}{name.replace(': ', '/')}"
        if isinstance(value, Mapping):
            yield from _scalars(value, f"{path}/")
        elif isinstance(value, list):
            yield from _scalars({f"{place:03d}": each for place, each in enumerate(value)}, f"{path}/")
        elif value is not None and math.isfinite(value):
            yield path, float(value)
