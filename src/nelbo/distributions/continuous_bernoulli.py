"""The continuous Bernoulli distribution on [0, 1]."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

_NEAR_HALF = 0.1  # |logit| below which series replace quotients of small numbers


@final
class ContinuousBernoulli(Distribution):
    r"""p(x) = C(lambda) lambda^x (1 - lambda)^(1-x) on [0, 1], by its logit l = log(lambda / (1 - lambda)).

    In the logit, C = l / tanh(l / 2), an even function that tends to 2 at l = 0; series are used near there, where the
    quotient loses its digits. torch's own cuts out a window around lambda = 1/2 instead.

    References
    ----------
    Loaiza-Ganem and Cunningham (2019), The continuous Bernoulli, arXiv:1907.06845, eq. 6-8.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """1 / (1 - exp(-l)) - 1 / l, written with tanh so that neither it nor its gradient overflows."""
        near, safe = self._split()
        series = 0.5 + self.logits / 12 - self.logits**3 / 720
        far = 0.5 + 0.5 * torch.reciprocal(torch.tanh(safe / 2)) - torch.reciprocal(safe)
        return torch.where(near, series, far)

    @property
    def mode(self) -> Tensor:
        return (self.logits > 0).to(self.logits.dtype)

    @property
    def variance(self) -> Tensor:
        """1 / l^2 - 1 / (4 sinh(l / 2)^2), written with tanh so that it does not overflow."""
        near, safe = self._split()
        series = 1 / 12 - self.logits**2 / 240
        tanh = torch.tanh(safe / 2)
        return torch.where(near, series, safe**-2 - (1 - tanh**2) / (4 * tanh**2))

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        """Inverse CDF: log(1 + u (exp(l) - 1)) / l, taken at -|l| and reflected so that it cannot overflow."""
        shape = Size(sample_shape) + self.logits.shape
        u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        near, safe = self._split()
        down = -safe.abs()
        x = torch.log1p(u * torch.expm1(down)) / down
        x = torch.where(safe > 0, 1 - x, x)
        # log(1 + u (exp(l) - 1)) is the cumulant generating function of Bernoulli(u): the series has its cumulants.
        spread, logits = u * (1 - u), self.logits
        series = u + spread * logits * (0.5 + logits * ((1 - 2 * u) / 6 + logits * (1 - 6 * spread) / 24))
        return torch.where(near, series, x).clamp(0.0, 1.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """x l - log(1 + exp l) + log C(l) of each cell, nats."""
        return value * self.logits - F.softplus(self.logits) + self.log_normaliser()

    def log_normaliser(self) -> Tensor:
        """log(l / tanh(l / 2)) of each cell."""
        near, safe = self._split()
        square = self.logits.square()
        series = math.log(2) + square / 12 - 7 * square.square() / 1440
        far = safe.abs()
        return torch.where(near, series, torch.log(far) - torch.log(torch.tanh(far / 2)))

    def _split(self) -> tuple[Tensor, Tensor]:
        """Where the series hold, and logits that are safe to divide by elsewhere (gradients too)."""
        near = self.logits.abs() < _NEAR_HALF
        return near, torch.where(near, torch.ones_like(self.logits), self.logits)
