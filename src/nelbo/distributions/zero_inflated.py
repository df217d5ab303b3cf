"""Counts with more zeros than their distribution allows."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.negative_binomial import NegativeBinomial


@final
class ZeroInflated(Distribution):
    r"""P(0) = w + (1 - w) Q(0) and P(x) = (1 - w) Q(x) for x > 0: a mixture of a sure zero and a count from Q.

    Parameters
    ----------
    base
        Q.
    logits
        log(w / (1 - w)); they broadcast against the counts.

    References
    ----------
    Lambert (1992), Zero-inflated Poisson regression; for gene counts: Lopez et al. (2018), scVI.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.nonnegative_integer

    def __init__(self, base: NegativeBinomial, logits: Tensor) -> None:
        self.base = base
        self.logits = logits
        super().__init__(base.batch_shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(-self.logits) * self.base.mean

    @property
    def variance(self) -> Tensor:
        zero, count = torch.sigmoid(self.logits), torch.sigmoid(-self.logits)
        return count * (self.base.variance + zero * self.base.mean.square())

    @property
    def mode(self) -> Tensor:
        """That of Q, unless zero has more mass."""
        peak = self.base.mode
        return peak.where(self.log_prob(peak) > self.log_prob(torch.zeros_like(peak)), 0.0)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            counts = self.base.sample(sample_shape)
            return counts.where(torch.rand_like(counts) < torch.sigmoid(-self.logits), 0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value) of each cell, nats; `value` holds whole numbers."""
        counted = F.logsigmoid(-self.logits) + self.base.log_prob(value)
        return torch.where(value == 0, torch.logaddexp(F.logsigmoid(self.logits), counted), counted)
