"""Gaussians written by their log-variance, which is what a network emits and what the KL needs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor, nn
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.special import log1mexp

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Floored(nn.Module, ABC):
    r"""A raw output made a log-variance bounded below: log(exp(raw) + exp(floor)) = floor + softplus(raw - floor).

    The bound is smooth, so a variance that reached it can leave again (a clamp has no gradient there); one nat or
    more above the floor it differs from `raw` by less than exp(floor - raw). It is kept low by default: a floor of -6
    costs about 100 nats on Frey faces.

    Parameters
    ----------
    floor
        Lowest log-variance, in the squared units in which the network sees the data.
    """

    def __init__(self, floor: float = -14.0) -> None:
        super().__init__()
        self.floor = floor

    @abstractmethod
    def log_variance(self, out: Tensor) -> Tensor:
        """The log-variance that an output of this module stands for."""

    def inverse(self, log_variance: Tensor) -> Tensor:
        """The raw output that gives a log-variance above the floor."""
        gap = log_variance - self.floor
        return log_variance + log1mexp(-gap)

    def share_at_floor(self, out: Tensor) -> Tensor:
        """Share of this module's outputs within 0.1 of the floor, a scalar."""
        return (self.log_variance(out) < self.floor + 0.1).float().mean()


@final
class LogVariance(Floored):
    """The bounded log-variance itself, finite for every finite raw output."""

    def forward(self, raw: Tensor) -> Tensor:
        return F.softplus(raw - self.floor) + self.floor

    def log_variance(self, out: Tensor) -> Tensor:
        return out


@final
class Variance(Floored):
    """exp of the bounded log-variance, in two operations where it is the variance that is wanted."""

    def forward(self, raw: Tensor) -> Tensor:
        return raw.exp() + math.exp(self.floor)

    def log_variance(self, out: Tensor) -> Tensor:
        return out.log()


@final
class StandardNormal(Distribution):
    """N(0, I) over D dimensions: event shape [D], batch shape []."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, dim: int, like: Tensor) -> None:
        self._like = like  # where draws are made, and of which type
        super().__init__(Size(()), Size((dim,)), validate_args=False)

    def expand(
        self, batch_shape: Size | list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> Distribution:
        zeros = self._like.new_zeros(*batch_shape, *self.event_shape)
        return DiagonalNormal(zeros, zeros)

    @property
    def mean(self) -> Tensor:
        return self._like.new_zeros(self.event_shape)

    @property
    def variance(self) -> Tensor:
        return self._like.new_ones(self.event_shape)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        return torch.randn(*sample_shape, *self.event_shape, dtype=self._like.dtype, device=self._like.device)

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., D] gives: the noise."""
        return noise

    def log_prob(self, value: Tensor) -> Tensor:
        """-z'z / 2 - D log(2 pi) / 2, `[..., D] -> [...]`, nats."""
        return -0.5 * value.square().sum(-1) - self.event_shape[0] * HALF_LOG_2PI

    def log_prob_per_dimension(self, value: Tensor) -> Tensor:
        """The terms of that sum, `[..., D] -> [..., D]`, nats."""
        return -0.5 * value.square() - HALF_LOG_2PI


@final
class DiagonalNormal(Distribution):
    """N(loc, diag(exp(log_variance))): batch shape [B], event shape [D]; `variance` may be given if it is known."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, log_variance: Tensor, variance: Tensor | None = None) -> None:
        self.loc = loc
        self.log_variance = log_variance
        self._variance = variance
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def expand(
        self, batch_shape: Size | list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> Distribution:
        shape = Size(batch_shape) + self.event_shape
        return DiagonalNormal(self.loc.expand(shape), self.log_variance.expand(shape))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.log_variance.exp() if self._variance is None else self._variance

    @property
    def stddev(self) -> Tensor:
        return torch.exp(0.5 * self.log_variance) if self._variance is None else self._variance.sqrt()

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        if sample_shape:
            noise = torch.randn(*sample_shape, *self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        else:
            noise = torch.randn_like(self.loc)
        return self.loc + self.stddev * noise  # one operation less than `addcmul`, with its gradient

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., D] gives: location-scale, loc + sigma noise."""
        return torch.addcmul(self.loc, self.stddev, noise)

    def stopped(self) -> DiagonalNormal:
        """The same distribution with its parameters constant (for DReG and sticking the landing)."""
        return DiagonalNormal(self.loc.detach(), self.log_variance.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """log N(value; loc, diag(exp(log_variance))), `[..., D] -> [...]`, nats."""
        squares = (value - self.loc).square() * torch.exp(-self.log_variance)
        return -0.5 * (squares + self.log_variance).sum(-1) - self.event_shape[0] * HALF_LOG_2PI

    def log_prob_per_dimension(self, value: Tensor) -> Tensor:
        """The terms of that sum, `[..., D] -> [..., D]`, nats."""
        squares = (value - self.loc).square() * torch.exp(-self.log_variance)
        return -0.5 * (squares + self.log_variance) - HALF_LOG_2PI

    def entropy(self) -> Tensor:
        return 0.5 * self.log_variance.sum(-1) + self.event_shape[0] * (HALF_LOG_2PI + 0.5)


@final
class ElementwiseNormal(Distribution):
    """N(loc, scale^2) for every cell, with a scale that broadcasts: batch shape that of `loc`, event shape [].

    torch's own `Normal` expands a shared scale to the full shape and takes its logarithm once a cell.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor) -> None:
        self.loc = loc
        self.scale = scale  # broadcasts to loc
        super().__init__(loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.scale.square().expand(self.loc.shape)

    @property
    def stddev(self) -> Tensor:
        return self.scale.expand(self.loc.shape)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        noise = torch.randn(*sample_shape, *self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        return torch.addcmul(self.loc, self.scale, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """log density of each cell, nats."""
        return -0.5 * ((value - self.loc) / self.scale).square() - self.scale.log() - HALF_LOG_2PI
