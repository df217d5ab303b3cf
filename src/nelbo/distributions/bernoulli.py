"""Bernoulli by its logit."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint


@final
class LogitBernoulli(Distribution):
    """Bernoulli(sigmoid(logits)) for every cell, on {0, 1}; finite for any logit."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.boolean

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.logits)

    @property
    def mode(self) -> Tensor:
        return (self.logits > 0).to(self.logits.dtype)

    @property
    def variance(self) -> Tensor:
        return self.mean * torch.sigmoid(-self.logits)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            shape = Size(sample_shape) + self.logits.shape
            return (torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device) < self.mean).to(
                self.logits.dtype
            )

    def log_prob(self, value: Tensor) -> Tensor:
        """x l - log(1 + exp l) of each cell, nats."""
        logits, target = torch.broadcast_tensors(self.logits, value)  # type: ignore[no-untyped-call]
        return -F.binary_cross_entropy_with_logits(logits, target, reduction="none")
