"""Points of the simplex: the Dirichlet, and the logistic-normal, a Gaussian's softmax.

Of D coordinates D - 1 are free. Densities are over the first D - 1 of them, Lebesgue measure; it is the same for every
distribution here, so that log p - log q is that of any other measure on the simplex.
"""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.drawing import fixed_draws
from nelbo.distributions.gamma import NOISES, log_standard_gamma, log_standard_gamma_from_noise
from nelbo.distributions.log_normal import above_zero
from nelbo.distributions.normal import DiagonalNormal


@final
class Dirichlet(Distribution):
    r"""p(z) = Gamma(sum_d a_d) prod_d z_d^(a_d - 1) / Gamma(a_d): batch shape [B], event shape [D].

    z = g / sum_d g_d with g_d ~ Gamma(a_d, 1), taken by their logarithms; the gradient is the implicit one of each.
    Draws stay above 0. Densities are taken in float64.

    Parameters
    ----------
    log_concentration [..., D]
        log a.

    References
    ----------
    Kingma and Welling (2013), arXiv:1312.6114, section 2.4 (composition); Figurnov, Mohamed and Mnih (2018),
    arXiv:1805.08498.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, log_concentration: Tensor) -> None:
        self.log_concentration = log_concentration
        super().__init__(log_concentration.shape[:-1], log_concentration.shape[-1:], validate_args=False)

    @property
    def noise_size(self) -> int:
        """How many standard normals a draw takes."""
        return NOISES * self.event_shape[0]

    @property
    def mean(self) -> Tensor:
        return torch.softmax(self.log_concentration, -1)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean) / (1 + self.log_concentration.exp().sum(-1, keepdim=True))

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = Size(sample_shape) + self.log_concentration.shape
        return _point(log_standard_gamma(self.log_concentration.expand(shape)))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., noise_size] gives."""
        return _point(log_standard_gamma_from_noise(self.log_concentration, noise))

    def stopped(self) -> Dirichlet:
        """The same distribution with its parameters constant."""
        return Dirichlet(self.log_concentration.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) over the first D - 1 coordinates, `[..., D] -> [...]`, nats."""
        a = self.log_concentration.double().exp()
        log_z = above_zero(value).double().log()
        return (((a - 1) * log_z).sum(-1) - log_multivariate_beta(a)).to(self.log_concentration.dtype)


@final
class LogisticNormal(Distribution):
    r"""z = softmax(e_1, ..., e_{D-1}, 0), e ~ N(loc, diag(s^2)): batch shape [B], event shape [D].

        log p(z) = sum_{d < D} log N(log z_d - log z_D; loc_d, s_d^2) - sum_d log z_d,

    the last sum over all D coordinates being minus the log-determinant of z in e. Draws stay above 0.

    Parameters
    ----------
    loc, log_scale [..., D - 1]
        Of e, the log-ratios to the last coordinate.

    References
    ----------
    Aitchison and Shen (1980), Logistic-normal distributions: some properties and uses, Biometrika 67.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc = loc
        self.log_scale = log_scale
        self._ratios = DiagonalNormal(loc, 2 * log_scale)
        super().__init__(loc.shape[:-1], Size((loc.shape[-1] + 1,)), validate_args=False)

    @property
    def noise_size(self) -> int:
        """How many standard normals a draw takes."""
        return self.event_shape[0] - 1

    @property
    def mean(self) -> Tensor:
        """Monte Carlo, from `FIXED_DRAWS` draws whose noise is always the same."""
        return fixed_draws(self, self.loc).mean(0)

    @property
    def variance(self) -> Tensor:
        """Monte Carlo, as the mean."""
        return fixed_draws(self, self.loc).var(0)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        return _point(F.pad(self._ratios.rsample(sample_shape), (0, 1)))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., D - 1] gives."""
        return _point(F.pad(self._ratios.from_noise(noise), (0, 1)))

    def stopped(self) -> LogisticNormal:
        """The same distribution with its parameters constant."""
        return LogisticNormal(self.loc.detach(), self.log_scale.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) over the first D - 1 coordinates, `[..., D] -> [...]`, nats."""
        log_z = above_zero(value).log()
        return self._ratios.log_prob(log_z[..., :-1] - log_z[..., -1:]) - log_z.sum(-1)


def log_multivariate_beta(a: Tensor) -> Tensor:
    """sum_d lgamma(a_d) - lgamma(sum_d a_d), `[..., D] -> [...]`; nearly cancels for large a, so give it float64."""
    return torch.lgamma(a).sum(-1) - torch.lgamma(a.sum(-1))


def _point(log_parts: Tensor) -> Tensor:
    return above_zero(torch.log_softmax(log_parts, -1).exp())
