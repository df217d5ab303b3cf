"""Gaussians whose covariance is a diagonal and a few factors."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.normal import HALF_LOG_2PI
from nelbo.distributions.special import product, times


@final
class LowRankNormal(Distribution):
    r"""N(loc, W W' + V), V = diag(exp(log_variance)), W of R columns: batch shape [B], event shape [D].

    With M = I + W' V^-1 W (Woodbury) and c = M^-1 W' V^-1 x, for x = value - loc,

        x' (W W' + V)^-1 x = |V^(-1/2) (x - W c)|^2 + |c|^2,    log det = sum_d log V_d + log det M.

    The sum of squares keeps digits that the difference x' V^-1 x - c' M c loses, and an error in c counts only
    squared: c is its minimum. M, [B, R, R], is factored in float64.

    Parameters
    ----------
    loc, log_variance [..., D]
        The mean, and the logarithm of V.
    factor [..., D, R]
        W.

    References
    ----------
    Ong, Nott and Smith (2018), Gaussian variational approximation with a factor covariance structure,
    arXiv:1701.03208.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, log_variance: Tensor, factor: Tensor) -> None:
        self.loc = loc
        self.log_variance = log_variance
        self.factor = factor
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def rank(self) -> int:
        """R."""
        return self.factor.shape[-1]

    @property
    def noise_size(self) -> int:
        """How many standard normals a draw takes: one a dimension, one a factor."""
        return self.event_shape[0] + self.rank

    def expand(
        self, batch_shape: Size | list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> Distribution:
        shape = Size(batch_shape) + self.event_shape
        return LowRankNormal(
            self.loc.expand(shape), self.log_variance.expand(shape), self.factor.expand(*shape, self.rank)
        )

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return self.factor.square().sum(-1) + self.log_variance.exp()

    @property
    def covariance(self) -> Tensor:
        """W W' + V, [..., D, D]."""
        return self.factor @ self.factor.mT + torch.diag_embed(self.log_variance.exp())

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, self.noise_size)
        return self.from_noise(torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., D + R] gives: loc + V^(1/2) e + W f."""
        own, shared = torch.split(noise, [self.event_shape[0], self.rank], -1)
        return torch.addcmul(self.loc, torch.exp(0.5 * self.log_variance), own) + times(self.factor, shared)

    def stopped(self) -> LowRankNormal:
        """The same distribution with its parameters constant."""
        return LowRankNormal(self.loc.detach(), self.log_variance.detach(), self.factor.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """log N(value; loc, W W' + V), `[..., D] -> [...]`, nats."""
        gain, log_det = self._woodbury()
        x = value - self.loc
        c = times(gain, x)
        left = (x - times(self.factor, c)).square() * torch.exp(-self.log_variance)
        squares = left.sum(-1) + c.square().sum(-1)
        return -0.5 * (squares + log_det) - self.event_shape[0] * HALF_LOG_2PI

    def entropy(self) -> Tensor:
        return 0.5 * self.log_det + self.event_shape[0] * (HALF_LOG_2PI + 0.5)

    @property
    def log_det(self) -> Tensor:
        """log det(W W' + V), [...]."""
        return self._woodbury()[1]

    def _woodbury(self) -> tuple[Tensor, Tensor]:
        """M^-1 W' V^-1, [..., R, D], and the log-determinant of the covariance, [...]."""
        factor, log_variance = self.factor.double(), self.log_variance.double()
        scaled = factor.mT * torch.exp(-log_variance).unsqueeze(-2)  # W' V^-1
        identity = torch.eye(self.rank, dtype=factor.dtype, device=factor.device)
        root = torch.linalg.cholesky(identity + product(scaled, factor))
        gain = torch.cholesky_solve(scaled, root)
        log_det = log_variance.sum(-1) + 2 * torch.diagonal(root, dim1=-2, dim2=-1).log().sum(-1)
        return gain.to(self.loc.dtype), log_det.to(self.loc.dtype)
