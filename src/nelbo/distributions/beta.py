"""The beta on the closed unit interval, by logit mean and log precision."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.gamma import log_standard_gamma
from nelbo.distributions.modes import likeliest


@final
class Beta(Distribution):
    r"""u = s + (1 - 2 s) x is Beta(a, b) with a = m n, b = (1 - m) n: mean m, variance m (1 - m) / (n + 1).

        log p(x) = lgamma(n) - lgamma(a) - lgamma(b) + (a - 1) log u + (b - 1) log(1 - u) + log(1 - 2 s), in float64.

    The squeeze s keeps the density finite at x = 0 and x = 1, which data hold and where a beta is infinite or 0. The
    mass that the beta gives to u outside [s, 1 - s] is lost: p integrates to what is left, never to more than 1. A draw
    that falls there counts as 0 or 1.

    Parameters
    ----------
    logit_mean, log_precision
        log(m / (1 - m)) and log n; the latter broadcasts, and the batch shape is that of the mean.
    squeeze
        s, between 0 and 1/2; with 0 it is the beta itself, on the open interval.

    References
    ----------
    Ferrari and Cribari-Neto (2004), Beta regression for modelling rates and proportions, eq. 4.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, logit_mean: Tensor, log_precision: Tensor, squeeze: float = 1e-6) -> None:
        self.logit_mean = logit_mean
        self.log_precision = log_precision
        self.squeeze = squeeze
        super().__init__(logit_mean.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self._unsqueezed(torch.sigmoid(self.logit_mean))

    @property
    def variance(self) -> Tensor:
        spread = torch.sigmoid(self.logit_mean) * torch.sigmoid(-self.logit_mean)
        return spread / (1 + self.log_precision.exp()) / (1 - 2 * self.squeeze) ** 2

    @property
    def mode(self) -> Tensor:
        """The best of 0, 1 and the peak (a - 1) / (n - 2), which there is where a and b are above 1."""
        log_a, log_b = log_shapes(self.logit_mean, self.log_precision)
        peaked = (log_a > 0) & (log_b > 0)
        above = torch.expm1(log_a).where(peaked, 0.0)
        peak = self._unsqueezed(above / (above + torch.expm1(log_b).where(peaked, 1.0)))
        return likeliest(self, [peak, torch.zeros_like(peak), torch.ones_like(peak)])

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        return self._unsqueezed(draw_share(self.logit_mean, self.log_precision, Size(sample_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """log density of each cell, nats."""
        rest = 1 - 2 * self.squeeze
        log_a, log_b = log_shapes(self.logit_mean.double(), self.log_precision.double())
        a, b = log_a.exp(), log_b.exp()
        x = value.double()
        density = (a - 1) * torch.log(self.squeeze + rest * x) + (b - 1) * torch.log(self.squeeze + rest * (1 - x))
        density = density - log_beta(a, b) + math.log(rest)
        return density.to(self.logit_mean.dtype)

    def _unsqueezed(self, u: Tensor) -> Tensor:
        return ((u - self.squeeze) / (1 - 2 * self.squeeze)).clamp(0.0, 1.0)


def log_shapes(logit_mean: Tensor, log_precision: Tensor) -> tuple[Tensor, Tensor]:
    """log a and log b of the beta with this mean and precision a + b."""
    return F.logsigmoid(logit_mean) + log_precision, F.logsigmoid(-logit_mean) + log_precision


def log_beta(a: Tensor, b: Tensor) -> Tensor:
    """log B(a, b) = lgamma(a) + lgamma(b) - lgamma(a + b); nearly cancels for large a and b, so give it float64."""
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


def draw_share(logit_mean: Tensor, log_precision: Tensor, sample_shape: Size) -> Tensor:
    """Reparameterised draws from the beta: g / (g + h) of two gamma draws, taken by their logarithms."""
    shape = sample_shape + logit_mean.shape
    log_a, log_b = log_shapes(logit_mean, log_precision)
    return torch.sigmoid(log_standard_gamma(log_a.expand(shape)) - log_standard_gamma(log_b.expand(shape)))
