"""The negative binomial for counts, by log mean and log dispersion."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint


@final
class NegativeBinomial(Distribution):
    r"""A Poisson whose rate is gamma distributed: mean m, variance m + m^2 / r, on 0, 1, 2, ...

        log P(x) = lgamma(x + r) - lgamma(r) - lgamma(x + 1) + r log(r / (r + m)) + x log(m / (r + m)).

    With g = log m - log r the last two terms are -r softplus(g) - x softplus(-g), finite for any m and r. The lgammas
    are taken in float64, where their difference keeps its digits. For r to infinity it is the Poisson.

    Parameters
    ----------
    log_mean, log_dispersion
        log m and log r; they broadcast, and the batch shape is that of the mean.

    References
    ----------
    Hilbe (2011), Negative binomial regression, eq. 8.3; for gene counts: Lopez et al. (2018), scVI.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.nonnegative_integer

    def __init__(self, log_mean: Tensor, log_dispersion: Tensor) -> None:
        self.log_mean = log_mean
        self.log_dispersion = log_dispersion
        super().__init__(log_mean.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        return self.mean + torch.exp(2 * self.log_mean - self.log_dispersion)

    @property
    def mode(self) -> Tensor:
        """floor(m (r - 1) / r) where r > 1, else 0."""
        return torch.floor(self.mean * (1 - torch.exp(-self.log_dispersion)).clamp(min=0.0))

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            shape = Size(sample_shape) + self.log_mean.shape
            r = self.log_dispersion.exp().expand(shape)
            rate = torch.distributions.Gamma(r, r / self.log_mean.exp(), validate_args=False).sample()
            return torch.poisson(rate)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value) of each cell, nats; `value` holds whole numbers."""
        x, r = value.double(), self.log_dispersion.double().exp()
        ways = torch.lgamma(x + r) - torch.lgamma(r) - torch.lgamma(x + 1)
        gap = self.log_mean.double() - self.log_dispersion.double()
        powers = r * F.softplus(gap) + x * F.softplus(-gap)
        return (ways - powers).to(self.log_mean.dtype)
