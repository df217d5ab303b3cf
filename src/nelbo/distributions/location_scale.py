"""Location-scale families over vectors: Laplace, logistic, Student's t, Cauchy or Gumbel in every dimension."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Self, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

EULER = 0.5772156649015329  # Euler's and Mascheroni's gamma, the mean of the standard Gumbel


class LocationScale(Distribution, ABC):
    r"""log p(z) = sum_d log f(t_d) - log s_d with t = (z - loc) / s: batch shape [B], event shape [D].

    f, the standard density, has its mode at 0. A draw is loc + s t, with t made from standard normal noise by a map
    that keeps its digits in both tails.

    Parameters
    ----------
    loc, log_scale [..., D]
        Location, and logarithm of the scale s.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc = loc
        self.log_scale = log_scale
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    @abstractmethod
    def standard_variance(self) -> float:
        """Of t."""

    @property
    @abstractmethod
    def standard_entropy(self) -> float:
        """Of t, nats."""

    @abstractmethod
    def standard_log_prob(self, t: Tensor) -> Tensor:
        """log f(t), elementwise."""

    @abstractmethod
    def standard_draw(self, noise: Tensor) -> Tensor:
        """t, `[..., noise_size] -> [..., D]`."""

    @abstractmethod
    def _like(self, loc: Tensor, log_scale: Tensor) -> Self:
        """One of the same family."""

    @property
    def noise_size(self) -> int:
        """How many standard normals a draw takes."""
        return self.event_shape[0]

    def expand(
        self, batch_shape: Size | list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> Distribution:
        shape = Size(batch_shape) + self.event_shape
        return self._like(self.loc.expand(shape), self.log_scale.expand(shape))

    @property
    @abstractmethod
    def mean(self) -> Tensor:
        """[..., D]."""

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.standard_variance * torch.exp(2 * self.log_scale)

    @property
    def stddev(self) -> Tensor:
        return math.sqrt(self.standard_variance) * self.log_scale.exp()

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, self.noise_size)
        return self.from_noise(torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., noise_size] gives: loc + s t."""
        return torch.addcmul(self.loc, self.log_scale.exp(), self.standard_draw(noise))

    def stopped(self) -> Self:
        """The same distribution with its parameters constant."""
        return self._like(self.loc.detach(), self.log_scale.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), `[..., D] -> [...]`, nats."""
        return self.log_prob_per_dimension(value).sum(-1)

    def log_prob_per_dimension(self, value: Tensor) -> Tensor:
        """The terms of that sum, `[..., D] -> [..., D]`, nats."""
        t = (value - self.loc) * torch.exp(-self.log_scale)
        return self.standard_log_prob(t) - self.log_scale

    def entropy_per_dimension(self) -> Tensor:
        """[..., D], nats."""
        return self.log_scale + self.standard_entropy

    def entropy(self) -> Tensor:
        return self.entropy_per_dimension().sum(-1)


class Symmetric(LocationScale, ABC):
    """One whose f is even: loc is the median, and the mean where there is one."""

    @property
    def mean(self) -> Tensor:
        return self.loc


@final
class DiagonalLaplace(Symmetric):
    """f(t) = exp(-abs(t)) / 2; t = -sign(n) log(2 Phi(-abs(n))) for standard normal n, its inverse CDF at Phi(n)."""

    @property
    def standard_variance(self) -> float:
        return 2.0

    @property
    def standard_entropy(self) -> float:
        return 1 + math.log(2.0)

    def standard_log_prob(self, t: Tensor) -> Tensor:
        log_f: Tensor = -t.abs() - math.log(2.0)
        return log_f

    def standard_draw(self, noise: Tensor) -> Tensor:
        t: Tensor = -noise.sign() * (torch.special.log_ndtr(-noise.abs()) + math.log(2.0))
        return t

    def _like(self, loc: Tensor, log_scale: Tensor) -> DiagonalLaplace:
        return DiagonalLaplace(loc, log_scale)


@final
class DiagonalLogistic(Symmetric):
    """f(t) = exp(-t) / (1 + exp(-t))^2; t = log Phi(n) - log Phi(-n) for standard normal n."""

    @property
    def standard_variance(self) -> float:
        return math.pi**2 / 3

    @property
    def standard_entropy(self) -> float:
        return 2.0

    def standard_log_prob(self, t: Tensor) -> Tensor:
        size = t.abs()  # f is even, and exp(-size) does not overflow
        log_f: Tensor = -size - 2 * F.softplus(-size)
        return log_f

    def standard_draw(self, noise: Tensor) -> Tensor:
        t: Tensor = torch.special.log_ndtr(noise) - torch.special.log_ndtr(-noise)
        return t

    def _like(self, loc: Tensor, log_scale: Tensor) -> DiagonalLogistic:
        return DiagonalLogistic(loc, log_scale)


@final
class DiagonalStudentT(Symmetric):
    r"""f(t) = Gamma((n + 1) / 2) / (Gamma(n / 2) sqrt(n pi)) (1 + t^2 / n)^(-(n + 1) / 2), n > 2.

    A draw takes two uniforms a dimension: t = sqrt(n (U^(-2 / n) - 1)) cos(2 pi V).

    Parameters
    ----------
    loc, log_scale [..., D]
        Location, and logarithm of the scale.
    freedom
        n, the degrees of freedom, above 2, so that mean and variance exist.

    References
    ----------
    Bailey (1994), Polar generation of random variates with the t-distribution, Mathematics of Computation 62.
    """

    def __init__(self, loc: Tensor, log_scale: Tensor, freedom: float) -> None:
        self.freedom = freedom
        super().__init__(loc, log_scale)

    @property
    def noise_size(self) -> int:
        return 2 * self.event_shape[0]

    @property
    def standard_variance(self) -> float:
        return self.freedom / (self.freedom - 2)

    @property
    def standard_entropy(self) -> float:
        n = torch.tensor(self.freedom, dtype=torch.float64)
        slope = float(torch.digamma(0.5 * (n + 1)) - torch.digamma(0.5 * n))
        return 0.5 * (self.freedom + 1) * slope - self._log_constant

    def standard_log_prob(self, t: Tensor) -> Tensor:
        return self._log_constant - 0.5 * (self.freedom + 1) * _log1p_square(t * self.freedom**-0.5)

    def standard_draw(self, noise: Tensor) -> Tensor:
        radius, angle = noise.chunk(2, -1)
        n = self.freedom
        # U^(-2 / n) - 1 by its logarithm, which neither end of (0, 1) rounds away.
        squared = n * torch.expm1(-2 / n * torch.special.log_ndtr(radius))
        return squared.sqrt() * torch.cos(2 * math.pi * torch.special.ndtr(angle))

    def _like(self, loc: Tensor, log_scale: Tensor) -> DiagonalStudentT:
        return DiagonalStudentT(loc, log_scale, self.freedom)

    @property
    def _log_constant(self) -> float:
        n = self.freedom
        return math.lgamma(0.5 * (n + 1)) - math.lgamma(0.5 * n) - 0.5 * math.log(n * math.pi)


@final
class DiagonalCauchy(Symmetric):
    r"""f(t) = 1 / (pi (1 + t^2)); t = tan(pi (Phi(n) - 1/2)) for standard normal n, its inverse CDF at Phi(n).

    It has no mean: `mean` is the median, which stands in for it where one code is asked for. Its variance is infinite.
    """

    @property
    def standard_variance(self) -> float:
        return math.inf

    @property
    def standard_entropy(self) -> float:
        return math.log(4 * math.pi)

    def standard_log_prob(self, t: Tensor) -> Tensor:
        return -math.log(math.pi) - _log1p_square(t)

    def standard_draw(self, noise: Tensor) -> Tensor:
        # By the tail, which does not round to 1.
        tail = torch.special.log_ndtr(-noise.abs()).exp().clamp(min=torch.finfo(noise.dtype).eps ** 4)
        t: Tensor = noise.sign() / torch.tan(math.pi * tail)
        return t

    def _like(self, loc: Tensor, log_scale: Tensor) -> DiagonalCauchy:
        return DiagonalCauchy(loc, log_scale)


@final
class DiagonalGumbel(LocationScale):
    """f(t) = exp(-t - exp(-t)), the law of largest values; t = -log(-log Phi(n)) for standard normal n."""

    @property
    def mean(self) -> Tensor:
        return self.loc + EULER * self.log_scale.exp()

    @property
    def standard_variance(self) -> float:
        return math.pi**2 / 6

    @property
    def standard_entropy(self) -> float:
        return 1 + EULER

    def standard_log_prob(self, t: Tensor) -> Tensor:
        # Far below 0 the density is nothing that the type can hold; its logarithm stays a number, for gradients.
        most = math.log(torch.finfo(t.dtype).max) - 8
        return -t - torch.exp((-t).clamp(max=most))

    def standard_draw(self, noise: Tensor) -> Tensor:
        return standard_gumbel(noise)

    def _like(self, loc: Tensor, log_scale: Tensor) -> DiagonalGumbel:
        return DiagonalGumbel(loc, log_scale)


def standard_gumbel(noise: Tensor) -> Tensor:
    """-log(-log Phi(n)) for standard normal noise n, elementwise, finite for any n."""
    waiting = -torch.special.log_ndtr(noise)  # standard exponential
    return -torch.log(waiting.clamp(min=torch.finfo(noise.dtype).tiny))


def _log1p_square(t: Tensor) -> Tensor:
    """log(1 + t^2), which does not overflow far out and keeps its digits near 0."""
    near = t.abs() < 1e8
    close = torch.log1p(torch.where(near, t, 0.0).square())
    far = 2 * torch.log(torch.where(near, 1.0, t).abs())
    return torch.where(near, close, far)
