"""Vectors of independent positive latents: exponential, log-normal or gamma in every dimension."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Self, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.gamma import NOISES, Gamma, log_standard_gamma_from_noise
from nelbo.distributions.location_scale import EULER
from nelbo.distributions.log_normal import LogNormal, above_zero
from nelbo.distributions.normal import HALF_LOG_2PI


class Positive(Distribution, ABC):
    """p(z) = prod_d p(z_d) on z_d > 0, Lebesgue density: batch shape [B], event shape [D].

    Entropy, E[z] and E[log z] are all that a KL to a gamma needs. Draws stay within the positive numbers of their type.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.independent(constraints.positive, 1)  # type: ignore[no-untyped-call]
    has_rsample = True

    def __init__(self, like: Tensor) -> None:
        super().__init__(like.shape[:-1], like.shape[-1:], validate_args=False)

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """E[z], [..., D]."""

    @property
    @abstractmethod
    def mean_log(self) -> Tensor:
        """E[log z], [..., D]."""

    @abstractmethod
    def entropy_per_dimension(self) -> Tensor:
        """[..., D], nats."""

    @abstractmethod
    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise gives."""

    @abstractmethod
    def _with(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same distribution with its parameters changed."""

    def stopped(self) -> Self:
        """The same distribution with its parameters constant."""
        return self._with(Tensor.detach)

    def double(self) -> Self:
        """The same distribution in float64."""
        return self._with(Tensor.double)

    def entropy(self) -> Tensor:
        return self.entropy_per_dimension().sum(-1)


@final
class DiagonalExponential(Positive):
    """p(z) = exp(-z / m) / m in each dimension; z = -m log(1 - u), its inverse CDF at u = Phi(noise)."""

    def __init__(self, log_mean: Tensor) -> None:
        self.log_mean = log_mean  # [..., D]  log m
        super().__init__(log_mean)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        return torch.exp(2 * self.log_mean)

    @property
    def stddev(self) -> Tensor:
        return self.mean

    @property
    def mean_log(self) -> Tensor:
        return self.log_mean - EULER

    def entropy_per_dimension(self) -> Tensor:
        return self.log_mean + 1

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = Size(sample_shape) + self.log_mean.shape
        return self.from_noise(torch.randn(shape, dtype=self.log_mean.dtype, device=self.log_mean.device))

    def from_noise(self, noise: Tensor) -> Tensor:
        return above_zero(-self.log_mean.exp() * torch.special.log_ndtr(-noise))

    def _with(self, change: Callable[[Tensor], Tensor]) -> DiagonalExponential:
        return DiagonalExponential(change(self.log_mean))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), `[..., D] -> [...]`, nats."""
        return self.log_prob_per_dimension(value).sum(-1)

    def log_prob_per_dimension(self, value: Tensor) -> Tensor:
        """The terms of that sum, `[..., D] -> [..., D]`, nats."""
        return -(value * torch.exp(-self.log_mean) + self.log_mean)


@final
class DiagonalLogNormal(Positive):
    """z = exp(loc + s noise) in each dimension: a composition, the exponential of a Gaussian."""

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc = loc  # [..., D]  of log z
        self.log_scale = log_scale  # [..., D]  log s
        self._cells = LogNormal(loc, log_scale)
        super().__init__(loc)

    @property
    def mean(self) -> Tensor:
        return self._cells.mean

    @property
    def variance(self) -> Tensor:
        return self._cells.variance

    @property
    def mean_log(self) -> Tensor:
        return self.loc

    def entropy_per_dimension(self) -> Tensor:
        return self.loc + self.log_scale + (HALF_LOG_2PI + 0.5)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        return self._cells.rsample(sample_shape)

    def from_noise(self, noise: Tensor) -> Tensor:
        return above_zero(torch.exp(torch.addcmul(self.loc, self.log_scale.exp(), noise)))

    def _with(self, change: Callable[[Tensor], Tensor]) -> DiagonalLogNormal:
        return DiagonalLogNormal(change(self.loc), change(self.log_scale))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), `[..., D] -> [...]`, nats."""
        return self._cells.log_prob(value).sum(-1)

    def log_prob_per_dimension(self, value: Tensor) -> Tensor:
        """The terms of that sum, `[..., D] -> [..., D]`, nats."""
        return self._cells.log_prob(value)


@final
class DiagonalGamma(Positive):
    r"""Mean m, variance m^2 / k: p(z) = (k / m)^k z^(k-1) exp(-k z / m) / Gamma(k) in each dimension.

    With k = 1 it is the exponential. A draw is made by rejection and has the implicit gradient in k.

    Parameters
    ----------
    log_mean, log_concentration [..., D]
        log m and log k; the rate is k / m.

    References
    ----------
    Figurnov, Mohamed and Mnih (2018), Implicit reparameterization gradients, arXiv:1805.08498.
    """

    def __init__(self, log_mean: Tensor, log_concentration: Tensor) -> None:
        self.log_mean = log_mean
        self.log_concentration = log_concentration
        self._cells = Gamma(log_mean, log_concentration)
        super().__init__(log_mean)

    @property
    def noise_size(self) -> int:
        """How many standard normals a draw takes."""
        return NOISES * self.event_shape[0]

    @property
    def mean(self) -> Tensor:
        return self._cells.mean

    @property
    def variance(self) -> Tensor:
        return self._cells.variance

    @property
    def mean_log(self) -> Tensor:
        """psi(k) - log k + log m, in float64 up to the last sum: the first two nearly cancel for a large k."""
        log_k = self.log_concentration.double()
        return self.log_mean + (torch.digamma(log_k.exp()) - log_k).to(self.log_mean.dtype)

    def entropy_per_dimension(self) -> Tensor:
        """k - log k + lgamma(k) + (1 - k) psi(k) + log m, in float64 up to the last sum."""
        log_k = self.log_concentration.double()
        k = log_k.exp()
        spread = k - log_k + torch.lgamma(k) + (1 - k) * torch.digamma(k)
        return self.log_mean + spread.to(self.log_mean.dtype)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        return self._cells.rsample(sample_shape)

    def from_noise(self, noise: Tensor) -> Tensor:
        log_g = log_standard_gamma_from_noise(self.log_concentration, noise)
        return above_zero(torch.exp(self.log_mean - self.log_concentration + log_g))

    def _with(self, change: Callable[[Tensor], Tensor]) -> DiagonalGamma:
        return DiagonalGamma(change(self.log_mean), change(self.log_concentration))

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), `[..., D] -> [...]`, nats."""
        return self._cells.log_prob(value).sum(-1)

    def log_prob_per_dimension(self, value: Tensor) -> Tensor:
        """The terms of that sum, `[..., D] -> [..., D]`, nats."""
        return self._cells.log_prob(value)
