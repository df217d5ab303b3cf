"""Student's t for every cell, by location, log-scale and degrees of freedom."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, StudentT, constraints
from torch.distributions.constraints import Constraint


@final
class ElementwiseStudentT(Distribution):
    r"""log p(x) = lgamma((n + 1) / 2) - lgamma(n / 2) - log(n pi) / 2 - log s - (n + 1) / 2 log(1 + t^2 / n).

    t = (x - loc) / s. All parameters broadcast against the location, whose shape is the batch shape. The difference
    of the two lgammas is taken in float64: in single precision it loses its digits for many degrees of freedom.

    Parameters
    ----------
    loc, log_scale
        Location and log of the scale s.
    freedom
        n, above 0; the mean exists above 1, the variance above 2.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor, log_scale: Tensor, freedom: Tensor) -> None:
        self.loc = loc
        self.log_scale = log_scale
        self.freedom = freedom
        super().__init__(loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.loc.where(self.freedom > 1, math.nan)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        n = self.freedom
        wide = torch.exp(2 * self.log_scale) * n / (n - 2).clamp(min=torch.finfo(n.dtype).tiny)
        return wide.where(n > 2, math.inf).expand(self.loc.shape)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        scale = self.log_scale.exp()
        draw: Tensor = StudentT(self.freedom, self.loc, scale, validate_args=False).rsample(Size(sample_shape))
        return draw

    def log_prob(self, value: Tensor) -> Tensor:
        """log density of each cell, nats."""
        n = self.freedom
        wide = n.double()
        constant = torch.lgamma(0.5 * (wide + 1)) - torch.lgamma(0.5 * wide) - 0.5 * torch.log(math.pi * wide)
        t = (value - self.loc) * torch.exp(-self.log_scale)
        return constant.to(t.dtype) - self.log_scale - 0.5 * (n + 1) * torch.log1p(t.square() / n)
