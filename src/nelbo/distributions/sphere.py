"""Unit vectors: the uniform distribution on the sphere and that of von Mises and Fisher."""

from __future__ import annotations

import functools
import math
from typing import ClassVar, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

NODES = 100  # of the Gauss-Legendre rule
REACH = 14.0  # of the rule, in standard deviations of the angle: what lies outside is below rounding
TRIES = 32  # proposals a draw may take; each is accepted with probability 0.65 or more, all fail with one of 3e-15


def log_area(dim: int) -> float:
    """log(2 pi^(D / 2) / Gamma(D / 2)), the area of the unit sphere in D dimensions."""
    return math.log(2.0) + 0.5 * dim * math.log(math.pi) - math.lgamma(0.5 * dim)


@final
class SphereUniform(Distribution):
    """Uniform on the unit sphere in D dimensions, density over its area: event shape [D], batch shape []."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, dim: int, like: Tensor) -> None:
        self._like = like  # where draws are made, and of which type
        super().__init__(Size(()), Size((dim,)), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self._like.new_zeros(self.event_shape)

    @property
    def variance(self) -> Tensor:
        return self._like.new_full(self.event_shape, 1 / self.event_shape[0])

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = (*sample_shape, *self.event_shape)
        return self.from_noise(torch.randn(shape, dtype=self._like.dtype, device=self._like.device))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The direction of the noise [..., D]."""
        return F.normalize(noise, dim=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Minus the logarithm of the area, `[..., D] -> [...]`, nats."""
        return value.new_full(value.shape[:-1], -log_area(self.event_shape[0]))


@final
class VonMisesFisher(Distribution):
    r"""p(z) = exp(kappa (loc' z - 1)) / (A Z(kappa)), over the area of the unit sphere: batch [B], event [D].

    A is the area of the sphere in D - 1 dimensions and Z(kappa) = int_0^pi exp(kappa (cos s - 1)) sin(s)^(D - 2) ds,
    which is a scaled Bessel function: log Z = log I_{D/2-1}(kappa) - kappa - (D/2 - 1) log(kappa / 2) +
    log(Gamma((D - 1) / 2) sqrt(pi)). It is integrated by Gauss and Legendre's rule around the mode of the angle s, in
    float64, with its moments and derivatives; no order and no concentration needs a case of its own.

    A draw is cos(s) loc + sin(s) t, t a uniform unit vector orthogonal to loc and s an angle by Wood's rejection
    sampling. An accepted angle is no differentiable function of its noise alone, and the derivative of the accepted
    proposal is not that of the expectation; the gradient here is the implicit one, ds / dkappa = -(dG / dkappa) / g
    with G the distribution function of s and g its density, which is unbiased without a correction.

    Parameters
    ----------
    loc [..., D]
        Unit vectors, D of 2 or more.
    concentration [...]
        kappa, 0 or more.

    References
    ----------
    Davidson et al. (2018), Hyperspherical variational auto-encoders, arXiv:1804.00891, section 3; Wood (1994),
    Simulation of the von Mises Fisher distribution, algorithm VM*; Ulrich (1984), Computer generation of
    distributions on the m-sphere (symmetric betas); Figurnov, Mohamed and Mnih (2018), Implicit
    reparameterization gradients, arXiv:1805.08498.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, concentration: Tensor) -> None:
        self.loc = loc
        self.concentration = concentration
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    @property
    def noise_size(self) -> int:
        """How many standard normals a draw takes: three a proposal, and one a dimension for the tangent."""
        return 3 * TRIES + self.event_shape[0]

    @property
    def mean(self) -> Tensor:
        """E[cos s] loc, inside the sphere."""
        return self.loc * (1 - self._moments()[0]).unsqueeze(-1)

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        """Per coordinate: Var[cos s] along loc, E[sin(s)^2] / (D - 1) across it."""
        _, along, across = (moment.unsqueeze(-1) for moment in self._moments())
        squares = self.loc.square()
        return along * squares + across * (1 - squares)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, self.noise_size)
        return self.from_noise(torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., noise_size] gives."""
        kappa = self.concentration.double()
        proposals, tangent = torch.split(noise, [3 * TRIES, self.event_shape[0]], -1)
        with torch.no_grad():
            angle = _wood(proposals.double().contiguous(), kappa, self.event_shape[0])
        if torch.is_grad_enabled() and kappa.requires_grad:
            with torch.no_grad():
                slope = _implicit_slope(angle, kappa, self.event_shape[0])
            angle = angle + (kappa - kappa.detach()) * slope
        along, across = (part.to(self.loc.dtype).unsqueeze(-1) for part in (angle.cos(), angle.sin()))
        orthogonal = tangent - (tangent * self.loc).sum(-1, keepdim=True) * self.loc
        return along * self.loc + across * F.normalize(orthogonal, dim=-1)

    def stopped(self) -> VonMisesFisher:
        """The same distribution with its parameters constant."""
        return VonMisesFisher(self.loc.detach(), self.concentration.detach())

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), `[..., D] -> [...]`, nats over the area of the sphere.

        kappa (loc' z - 1) is taken as -kappa |z - loc|^2 / 2, which keeps its digits for a large kappa.
        """
        gaps = (value - self.loc).square().sum(-1)
        return -0.5 * self.concentration * gaps + self.log_peak

    @property
    def log_peak(self) -> Tensor:
        """log p(loc) = -log A - log Z(kappa), [...]."""
        kappa = self.concentration.double()
        log_z = _log_integral(kappa, self.event_shape[0])[0]
        return (-log_z - log_area(self.event_shape[0] - 1)).to(self.loc.dtype)

    def entropy(self) -> Tensor:
        """-log p(loc) + kappa E[1 - cos s]."""
        return self.concentration * self._moments()[0] - self.log_peak

    def rate_to_uniform(self) -> Tensor:
        """KL to the uniform distribution, [...] in nats: log(Z(0) / Z(kappa)) - kappa E[1 - cos s]."""
        kappa, dim = self.concentration.double(), self.event_shape[0]
        log_z, weights, gaps = _log_integral(kappa, dim)
        log_flat = log_area(dim) - log_area(dim - 1)
        return (log_flat - log_z - kappa * (weights * gaps).sum(-1)).to(self.loc.dtype)

    def _moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """E[1 - cos s], Var[cos s] and E[sin(s)^2] / (D - 1), each [...]."""
        _, weights, gaps = _log_integral(self.concentration.double(), self.event_shape[0])
        mean = (weights * gaps).sum(-1)
        along = (weights * (gaps - mean.unsqueeze(-1)).square()).sum(-1)
        across = (weights * gaps * (2 - gaps)).sum(-1) / (self.event_shape[0] - 1)
        dtype = self.loc.dtype
        return mean.to(dtype), along.to(dtype), across.to(dtype)


def _log_integral(kappa: Tensor, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """log Z(kappa) [...], and of every node its share of Z and 1 - cos s, [..., NODES]."""
    with torch.no_grad():
        centre, spread = _mode_and_spread(kappa, dim)
        low = (centre - REACH * spread).clamp(min=0.0)
        high = (centre + REACH * spread).clamp(max=math.pi)
        s, log_step = _rule(low, high)
        gaps = 2 * torch.sin(0.5 * s).square()
        log_base = (dim - 2) * torch.log(torch.sin(s)) + log_step
    log_parts = log_base - kappa.unsqueeze(-1) * gaps
    log_z = torch.logsumexp(log_parts, -1)
    return log_z, torch.exp(log_parts - log_z.unsqueeze(-1)), gaps


def _mode_and_spread(kappa: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Mode of the angle's density and the standard deviation that its curvature there gives."""
    m = float(dim - 2)
    if m == 0:
        return torch.zeros_like(kappa), (kappa + 1e-3).rsqrt()
    cosine = 2 * kappa / (m + torch.sqrt(m * m + 4 * kappa.square()))
    sine_squared = 2 * m / (m + torch.sqrt(m * m + 4 * kappa.square()))
    curvature = kappa * cosine + m / sine_squared
    return torch.atan2(sine_squared.sqrt(), cosine), curvature.rsqrt()


def _rule(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Nodes of Gauss and Legendre's rule between two bounds [...] and the logarithms of its weights, [..., NODES]."""
    nodes, weights = _legendre()
    half = (0.5 * (high - low)).unsqueeze(-1)
    s = low.unsqueeze(-1) + half * (nodes.to(low.device) + 1)
    return s, torch.log(half) + weights.to(low.device).log()


@functools.cache
def _legendre() -> tuple[Tensor, Tensor]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    return torch.from_numpy(nodes), torch.from_numpy(weights)


def _wood(noise: Tensor, kappa: Tensor, dim: int) -> Tensor:
    """The first accepted angle of `TRIES` proposals made of the noise [..., 3 TRIES]; the last one if none is."""
    root = torch.sqrt(4 * kappa.square() + (dim - 1) ** 2)
    b = (dim - 1) / (2 * kappa + root)
    x = (1 - b) / (1 + b)
    envelope = kappa * x + (dim - 1) * torch.log1p(-x.square())
    found = torch.zeros((), dtype=noise.dtype, device=noise.device)
    accepted = torch.zeros((), dtype=torch.bool, device=noise.device)
    for proposal in noise.view(*noise.shape[:-1], TRIES, 3).unbind(-2):
        radius, turn, height = proposal.unbind(-1)
        share = _symmetric_beta(radius, turn, dim)
        scale = 1 - (1 - b) * share
        cosine = (1 - (1 + b) * share) / scale
        fits = kappa * cosine + (dim - 1) * torch.log1p(-x * cosine) - envelope >= torch.special.log_ndtr(height)
        angle = 2 * torch.atan2(torch.sqrt(b * share), torch.sqrt(1 - share))
        found = torch.where(accepted, found, angle)
        accepted = accepted | fits
        if bool(accepted.all()):
            break
    return found


def _symmetric_beta(radius: Tensor, turn: Tensor, dim: int) -> Tensor:
    """A draw of Beta((D - 1) / 2, (D - 1) / 2) from two normals: (1 + sqrt(1 - U^(2 / (D - 2))) cos(2 pi V)) / 2."""
    length = torch.sqrt(-torch.expm1(2 / (dim - 2) * torch.special.log_ndtr(radius))) if dim > 2 else 1.0
    share = 0.5 * (1 + length * torch.cos(2 * math.pi * torch.special.ndtr(turn)))
    edge = torch.finfo(share.dtype).eps
    return share.clamp(edge, 1 - edge)


def _implicit_slope(angle: Tensor, kappa: Tensor, dim: int) -> Tensor:
    """ds / dkappa = -1/g(s) int_0^s (cos u - E cos) g(u) du, by the tail on the side of s, where no term cancels."""
    _, weights, gaps = _log_integral(kappa, dim)
    mean_gap = (weights * gaps).sum(-1)
    reach = REACH * _mode_and_spread(kappa, dim)[1]
    own_gap = 2 * torch.sin(0.5 * angle).square()
    below = own_gap < mean_gap
    low = torch.where(below, (angle - reach).clamp(min=0.0), angle)
    high = torch.where(below, angle, (angle + reach).clamp(max=math.pi))
    u, log_step = _rule(low, high)
    here = angle.unsqueeze(-1)
    # cos u - cos s as a product, which keeps its digits.
    rise = -2 * torch.sin(0.5 * (u + here)) * torch.sin(0.5 * (u - here))
    log_ratio = kappa.unsqueeze(-1) * rise + (dim - 2) * (torch.log(torch.sin(u)) - torch.log(torch.sin(here)))
    away = (2 * torch.sin(0.5 * u).square() - mean_gap.unsqueeze(-1)).abs()
    return -(torch.exp(log_ratio + log_step) * away).sum(-1)
