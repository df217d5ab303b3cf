"""Parts whose first values are read off the training rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import nn

from nelbo.core import Batch


class StartsFromData(ABC):
    """A part that may look at training rows once, before the first step; what it finds is saved with its weights."""

    @property
    @abstractmethod
    def starts_from_data(self) -> bool:
        """Whether it wants to."""

    @abstractmethod
    def start_from(self, batch: Batch) -> None:
        """Set first values from these rows, as the likelihood sees them."""


def start_from(module: nn.Module, rows: Callable[[], Batch]) -> None:
    """Let every part of a module that starts from data look at rows, which are made if there is such a part."""
    parts = [part for part in module.modules() if isinstance(part, StartsFromData) and part.starts_from_data]
    if not parts:
        return
    batch = rows()
    for part in parts:
        part.start_from(batch)
