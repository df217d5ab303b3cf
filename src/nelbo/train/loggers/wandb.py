"""Weights & Biases: a run of the project `nelbo`, or of the one that WANDB_PROJECT names; offline by WANDB_MODE."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from nelbo.errors import ConfigError
from nelbo.settings import Settings
from nelbo.storage import read_json, write_json
from nelbo.train.loggers.logger import Logger, of_epoch, of_step
from nelbo.train.monitor import EpochRecord, StepRecord

if TYPE_CHECKING:
    from PIL.Image import Image

PROJECT = "nelbo"


@final
class WandbLogger(Logger):
    """Figures and pictures of one W&B run, whose number is kept in `RUN/wandb.json`; files lie in `RUN/wandb`.

    A resumed run goes on with it; what is done again stands there twice.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder
        self._settings = settings
        self._run: Any = None
        self._status = 1

    def stands_at(self, step: int) -> None:
        import wandb

        file = self._folder / "wandb.json"
        number = read_json(file)["run"] if step and file.exists() else uuid.uuid4().hex[:8]
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                name=self._folder.name,
                id=number,
                resume="allow",
                dir=str(self._folder),
                config=self._settings.model_dump(mode="json"),
                settings=wandb.Settings(console="off"),  # the terminal is the progress bar's
            )
        except wandb.errors.Error as problem:
            raise ConfigError(
                f"Weights & Biases cannot be reached ({str(problem).splitlines()[0]}); run wandb login, set "
                "WANDB_MODE=offline, or leave --log wandb out"
            ) from problem
        write_json(file, {"run": number})
        self._run.define_metric("optimiser_step")
        self._run.define_metric("*", step_metric="optimiser_step")

    def logged(self, record: StepRecord) -> None:
        self._run.log({**of_step(record), "optimiser_step": record.step})

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        self._run.log({**of_epoch(record), "optimiser_step": record.step})

    def painted(self, step: int, epoch: int, pictures: Mapping[str, Image]) -> None:
        import wandb

        images = {name: wandb.Image(picture.convert("RGB")) for name, picture in pictures.items()}
        self._run.log({**images, "optimiser_step": step})

    def finished(self, reason: str) -> None:
        self._run.summary["stopped"] = reason
        self._status = 0

    def close(self) -> None:
        if self._run is not None:
            self._run.finish(exit_code=self._status)
