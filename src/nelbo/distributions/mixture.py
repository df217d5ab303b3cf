"""Mixtures of diagonal Gaussians, with a density made of matrix products."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.normal import HALF_LOG_2PI
from nelbo.distributions.special import product


@final
class NormalMixture(Distribution):
    r"""sum_c pi_c N(loc_c, diag(exp(log_variance_c))) over D dimensions: event shape [D], batch shape [].

    With precisions w = exp(-log_variance), the exponent of component c is

        -1/2 (sum_d w_cd z_d^2 - 2 sum_d w_cd loc_cd z_d + sum_d w_cd loc_cd^2),

    two products of matrices instead of a tensor [..., C, D]. z and the locations are first moved to the middle of
    the locations, which keeps the digits of the difference of squares.

    Parameters
    ----------
    log_weights [C]
        Logarithms of the weights; they need not be normalised.
    loc, log_variance [C, D]
        Of the components.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector

    def __init__(self, log_weights: Tensor, loc: Tensor, log_variance: Tensor) -> None:
        self.log_weights = torch.log_softmax(log_weights, -1)
        self.loc = loc
        self.log_variance = log_variance
        super().__init__(Size(()), loc.shape[-1:], validate_args=False)

    @property
    def components(self) -> int:
        """C."""
        return len(self.loc)

    @property
    def mean(self) -> Tensor:
        return self.log_weights.exp() @ self.loc

    @property
    def variance(self) -> Tensor:
        """Per dimension: the mean variance of the components and the variance of their means."""
        around = self.loc - self.mean
        return self.log_weights.exp() @ (self.log_variance.exp() + around.square())

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            shape = Size(sample_shape)
            flat = max(1, shape.numel())
            chosen = torch.multinomial(self.log_weights.exp(), flat, replacement=True)
            noise = torch.randn(flat, *self.event_shape, dtype=self.loc.dtype, device=self.loc.device)
            drawn = self.loc[chosen] + torch.exp(0.5 * self.log_variance[chosen]) * noise
            return drawn.view(*shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log sum_c pi_c N(value; loc_c, ...), `[..., D] -> [...]`, nats."""
        return torch.logsumexp(self.log_components(value), -1)

    def log_components(self, value: Tensor) -> Tensor:
        """log pi_c + log N(value; loc_c, ...) of every component, `[..., D] -> [..., C]`."""
        middle = self.loc.mean(0).detach()
        # The squares of narrow components are small differences of large numbers. Where no gradient is wanted a figure
        # may be, in float64; a gradient can bear what is left in float32 (0.1 nats at a standard deviation of 0.007).
        number = self.loc.dtype if torch.is_grad_enabled() else torch.float64
        z, loc = (value - middle).to(number), (self.loc - middle).to(number)
        precision = torch.exp(-self.log_variance.to(number))
        crossed = product(z.square(), precision.T) - 2 * product(z, (loc * precision).T)
        squares = (crossed + (loc.square() * precision).sum(-1)).to(self.loc.dtype)
        constant = self.log_weights - 0.5 * self.log_variance.sum(-1) - self.event_shape[0] * HALF_LOG_2PI
        return constant - 0.5 * squares
