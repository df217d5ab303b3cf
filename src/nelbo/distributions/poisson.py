"""The Poisson for counts, by its log mean."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint


@final
class Poisson(Distribution):
    r"""log P(x) = x log m - m - lgamma(x + 1) on 0, 1, 2, ..., mean and variance m.

    Taken in float64: for a large count the terms are large and nearly cancel, which leaves torch's own, in single
    precision, an error of a nat at counts of a million.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.nonnegative_integer

    def __init__(self, log_mean: Tensor) -> None:
        self.log_mean = log_mean
        super().__init__(log_mean.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        return self.mean

    @property
    def mode(self) -> Tensor:
        return torch.floor(self.mean)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            return torch.poisson(self.mean.expand(Size(sample_shape) + self.log_mean.shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value) of each cell, nats; `value` holds whole numbers."""
        x, log_mean = value.double(), self.log_mean.double()
        return (x * log_mean - log_mean.exp() - torch.lgamma(x + 1)).to(self.log_mean.dtype)
