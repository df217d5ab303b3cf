"""What priors share that have nothing to learn."""

from __future__ import annotations

from abc import ABC

import torch
from torch import Tensor

from nelbo.core import Prior


class FixedPrior(Prior, ABC):
    """A prior over D dimensions without parameters; `like` is a 0 that follows the module's device and type."""

    like: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.register_buffer("like", torch.zeros(()), persistent=False)

    @property
    def zeros(self) -> Tensor:
        """[D]"""
        return self.like.expand(self.dim)
