"""TensorBoard: event files below the run, read by `tensorboard --logdir runs`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np

from nelbo.settings import Settings
from nelbo.train.loggers.logger import Logger, of_epoch, of_step
from nelbo.train.monitor import EpochRecord, StepRecord

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch.utils.tensorboard import SummaryWriter


@final
class TensorBoardLogger(Logger):
    """Scalars and pictures as event files in `RUN/tensorboard`; a resumed run hides the events that it does again."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._folder = folder / "tensorboard"
        self._settings = settings
        self._writer: SummaryWriter | None = None

    def stands_at(self, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self._folder), purge_step=step + 1 if step else None)
        if step == 0:
            lines = [f"| {name} | {value} |" for name, value in self._settings.model_dump(mode="json").items()]
            self._writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *lines]), 0)

    def logged(self, record: StepRecord) -> None:
        self._add(of_step(record), record.step)

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        self._add(of_epoch(record), record.step)

    def painted(self, step: int, epoch: int, pictures: Mapping[str, Image]) -> None:
        if self._writer is not None:
            for name, picture in pictures.items():
                self._writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _add(self, figures: Mapping[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)
