"""Pictures of what a model makes while it is trained: who paints them, and the folder that keeps them."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import final

from PIL.Image import Image

from nelbo.core import Model
from nelbo.storage import write_bytes
from nelbo.train.monitor import Listener

Paint = Callable[[], Mapping[str, Image]]


class Painter(ABC):
    """Makes pictures of a model, by name, and leaves it and torch's random state as they were."""

    @abstractmethod
    def __call__(self, model: Model) -> Mapping[str, Image]: ...


@final
class ImagesFolder(Listener):
    """Keeps pictures as `NAME-STEP.png`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stands_at(self, step: int) -> None:
        """Remove pictures of steps that a resumed run does again."""
        for file in self._folder.glob("*-*.png"):
            number = file.stem.rpartition("-")[2]
            if number.isdigit() and int(number) > step:
                file.unlink(missing_ok=True)

    def painted(self, step: int, epoch: int, pictures: Mapping[str, Image]) -> None:
        for name, picture in pictures.items():
            content = io.BytesIO()
            picture.save(content, "PNG")
            write_bytes(self._folder / f"{name}-{step:09d}.png", content.getvalue())
