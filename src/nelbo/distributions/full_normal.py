"""Gaussians with a full covariance, by the Cholesky factor."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.normal import HALF_LOG_2PI
from nelbo.distributions.special import product, times


@final
class FullNormal(Distribution):
    r"""N(loc, L L') with L lower triangular, positive on its diagonal: batch shape [B], event shape [D].

    Parameters
    ----------
    loc [..., D]
    factor [..., D, D]
        L.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, factor: Tensor) -> None:
        self.loc = loc
        self.factor = factor
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def expand(
        self, batch_shape: Size | list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> Distribution:
        shape = Size(batch_shape) + self.event_shape
        return FullNormal(self.loc.expand(shape), self.factor.expand(shape + self.event_shape))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.factor.square().sum(-1)

    @property
    def covariance(self) -> Tensor:
        """L L', [..., D, D]."""
        return product(self.factor, self.factor.mT)

    @property
    def log_diagonal(self) -> Tensor:
        """log of the diagonal of L, [..., D]."""
        return torch.diagonal(self.factor, dim1=-2, dim2=-1).log()

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        noise = torch.randn(*sample_shape, *self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        return self.from_noise(noise)

    def from_noise(self, noise: Tensor) -> Tensor:
        """loc + L noise."""
        return self.loc + times(self.factor, noise)

    def stopped(self) -> FullNormal:
        """The same distribution with its parameters constant."""
        return FullNormal(self.loc.detach(), self.factor.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """-1/2 |L^-1 (value - loc)|^2 - sum_d log L_dd - D/2 log(2 pi), `[..., D] -> [...]`, nats."""
        centred = (value - self.loc).unsqueeze(-1)
        factor = self.factor.expand(*centred.shape[:-2], *self.factor.shape[-2:])
        white = torch.linalg.solve_triangular(factor, centred, upper=False).squeeze(-1)
        squares: Tensor = white.square().sum(-1)
        return -0.5 * squares - self.log_diagonal.sum(-1) - self.event_shape[0] * HALF_LOG_2PI

    def entropy(self) -> Tensor:
        return self.log_diagonal.sum(-1) + self.event_shape[0] * (HALF_LOG_2PI + 0.5)
