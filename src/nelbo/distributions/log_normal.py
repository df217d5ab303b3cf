"""The log-normal for every cell, by the mean and the log standard deviation of log x."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.normal import HALF_LOG_2PI


@final
class LogNormal(Distribution):
    r"""log p(x) = -((log x - loc) / s)^2 / 2 - log s - log x - log(2 pi) / 2 for x > 0.

    Draws and the mode stay above 0 and finite, where torch's own round to 0 or overflow. The log scale broadcasts
    against the location, whose shape is the batch shape.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.positive
    has_rsample = True

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc = loc
        self.log_scale = log_scale
        super().__init__(loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return torch.exp(self.loc + 0.5 * torch.exp(2 * self.log_scale))

    @property
    def variance(self) -> Tensor:
        square = torch.exp(2 * self.log_scale)
        return torch.exp(2 * self.loc + square) * torch.expm1(square)

    @property
    def mode(self) -> Tensor:
        return above_zero(torch.exp(self.loc - torch.exp(2 * self.log_scale)))

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        noise = torch.randn(*sample_shape, *self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        return above_zero(torch.exp(torch.addcmul(self.loc, self.log_scale.exp(), noise)))

    def log_prob(self, value: Tensor) -> Tensor:
        """log density of each cell, nats."""
        log_x = value.log()
        standard = (log_x - self.loc) * torch.exp(-self.log_scale)
        return -0.5 * standard.square() - self.log_scale - log_x - HALF_LOG_2PI


def above_zero(x: Tensor) -> Tensor:
    """x within the positive numbers that its type can hold."""
    limits = torch.finfo(x.dtype)
    return x.clamp(limits.tiny, limits.max)
