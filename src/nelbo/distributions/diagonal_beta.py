"""Vectors of independent betas: sticks between 0 and 1."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.beta import log_beta
from nelbo.distributions.gamma import NOISES, log_standard_gamma, log_standard_gamma_from_noise


@final
class DiagonalBeta(Distribution):
    r"""p(v) = prod_d v^(a-1) (1 - v)^(b-1) / B(a, b) on (0, 1)^D: batch shape [B], event shape [D].

    v = g / (g + h) with g ~ Gamma(a, 1) and h ~ Gamma(b, 1), taken by their logarithms; the gradient is the implicit
    one of both. Draws stay one rounding error away from 1. Densities are taken in float64.

    Parameters
    ----------
    log_a, log_b [..., D]
        Logarithms of the two shapes.

    References
    ----------
    Figurnov, Mohamed and Mnih (2018), Implicit reparameterization gradients, arXiv:1805.08498.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.independent(constraints.unit_interval, 1)  # type: ignore[no-untyped-call]
    has_rsample = True

    def __init__(self, log_a: Tensor, log_b: Tensor) -> None:
        self.log_a = log_a
        self.log_b = log_b
        super().__init__(log_a.shape[:-1], log_a.shape[-1:], validate_args=False)

    @property
    def noise_size(self) -> int:
        """How many standard normals a draw takes."""
        return 2 * NOISES * self.event_shape[0]

    @property
    def mean(self) -> Tensor:
        return torch.sigmoid(self.log_a - self.log_b)

    @property
    def variance(self) -> Tensor:
        share = self.log_a - self.log_b
        return torch.sigmoid(share) * torch.sigmoid(-share) / (1 + self.log_a.exp() + self.log_b.exp())

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = Size(sample_shape) + self.log_a.shape
        return _share(log_standard_gamma(self.log_a.expand(shape)), log_standard_gamma(self.log_b.expand(shape)))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., noise_size] gives."""
        first, second = noise.chunk(2, -1)
        return _share(
            log_standard_gamma_from_noise(self.log_a, first), log_standard_gamma_from_noise(self.log_b, second)
        )

    def stopped(self) -> DiagonalBeta:
        """The same distribution with its parameters constant."""
        return DiagonalBeta(self.log_a.detach(), self.log_b.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), `[..., D] -> [...]`, nats."""
        return self._cells(value).sum(-1).to(self.log_a.dtype)

    def log_prob_per_dimension(self, value: Tensor) -> Tensor:
        """The terms of that sum, `[..., D] -> [..., D]`, nats."""
        return self._cells(value).to(self.log_a.dtype)

    def _cells(self, value: Tensor) -> Tensor:
        a, b = self.log_a.double().exp(), self.log_b.double().exp()
        v = _inside(value).double()
        return (a - 1) * torch.log(v) + (b - 1) * torch.log1p(-v) - log_beta(a, b)


def _share(log_g: Tensor, log_h: Tensor) -> Tensor:
    return _inside(torch.sigmoid(log_g - log_h))


def _inside(v: Tensor) -> Tensor:
    limits = torch.finfo(v.dtype)
    return v.clamp(limits.tiny, 1 - limits.eps)
