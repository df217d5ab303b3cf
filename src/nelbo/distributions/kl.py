"""Closed-form rates KL(q || p), per latent dimension where it is a sum over them, where there is one.

A table of our own rather than `torch.distributions.kl_divergence`, which breaks full-graph compilation on a cold cache
and sums what a monitor wants to see apart. A pair that is not in the table has no closed form here: the caller falls
back on Monte Carlo.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.distributions.full_normal import FullNormal
from nelbo.distributions.location_scale import DiagonalLaplace, DiagonalLogistic, DiagonalStudentT, LocationScale
from nelbo.distributions.low_rank_normal import LowRankNormal
from nelbo.distributions.normal import HALF_LOG_2PI, DiagonalNormal, StandardNormal
from nelbo.distributions.sphere import SphereUniform, VonMisesFisher


def rate(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p), [G, B] in nats, or None where no closed form is known.

    G is D where the KL is a sum over latent dimensions, the number of groups where it is one over groups, else 1.
    """
    closed_form = _TABLE.get((type(q), type(p)))
    return None if closed_form is None else closed_form(q, p)


def _diagonal_standard(q: DiagonalNormal, p: StandardNormal) -> Tensor:
    """(sigma^2 + mu^2 - 1 - log sigma^2) / 2; Kingma and Welling (2013), appendix B."""
    per_dimension = (q.variance + q.loc.square() - q.log_variance).sub_(1.0).mul_(0.5)
    return per_dimension.transpose(0, -1)


def _diagonal_diagonal(q: DiagonalNormal, p: DiagonalNormal) -> Tensor:
    """(sigma_q^2 / sigma_p^2 + (mu_q - mu_p)^2 / sigma_p^2 - 1 + log sigma_p^2 - log sigma_q^2) / 2."""
    gap = q.log_variance - p.log_variance
    squares = (q.loc - p.loc).square() * torch.exp(-p.log_variance)
    return (0.5 * (gap.expm1() - gap + squares)).transpose(0, -1)


def _full_standard(q: FullNormal, p: StandardNormal) -> Tensor:
    """sum_d (sum_j L_dj^2 + mu_d^2 - 1) / 2 - log L_dd, kept apart by d: the terms sum to the KL."""
    squares = q.variance + q.loc.square() - 1.0
    return (0.5 * squares - q.log_diagonal).transpose(0, -1)


def _full_diagonal(q: FullNormal, p: DiagonalNormal) -> Tensor:
    """sum_d ((sum_j L_dj^2 + (mu_d - m_d)^2) / s_d^2 - 1 + log s_d^2) / 2 - log L_dd, kept apart by d."""
    squares = (q.variance + (q.loc - p.loc).square()) * torch.exp(-p.log_variance) - 1.0
    return (0.5 * (squares + p.log_variance) - q.log_diagonal).transpose(0, -1)


def _low_rank_standard(q: LowRankNormal, p: StandardNormal) -> Tensor:
    """(tr Sigma + |mu|^2 - D - log det Sigma) / 2, one term: the determinant is that of all dimensions."""
    squares = q.variance + q.loc.square() - 1.0
    return 0.5 * (squares.sum(-1) - q.log_det).unsqueeze(0)


def _low_rank_diagonal(q: LowRankNormal, p: DiagonalNormal) -> Tensor:
    """(sum_d (Sigma_dd + (mu_d - m_d)^2) / s_d^2 - D + log s_d^2 - log det Sigma) / 2, one term."""
    squares = (q.variance + (q.loc - p.loc).square()) * torch.exp(-p.log_variance) - 1.0
    return 0.5 * ((squares + p.log_variance).sum(-1) - q.log_det).unsqueeze(0)


def _location_scale_standard(q: LocationScale, p: StandardNormal) -> Tensor:
    """(Var_d + loc_d^2 + log(2 pi)) / 2 - H_d: the cross-entropy with a Gaussian needs two moments only."""
    squares = q.variance + q.loc.square()
    return (0.5 * squares + HALF_LOG_2PI - q.entropy_per_dimension()).transpose(0, -1)


def _location_scale_diagonal(q: LocationScale, p: DiagonalNormal) -> Tensor:
    """((Var_d + (loc_d - m_d)^2) / s_d^2 + log(2 pi s_d^2)) / 2 - H_d."""
    squares = (q.variance + (q.loc - p.loc).square()) * torch.exp(-p.log_variance)
    return (0.5 * (squares + p.log_variance) + HALF_LOG_2PI - q.entropy_per_dimension()).transpose(0, -1)


def _laplace_laplace(q: DiagonalLaplace, p: DiagonalLaplace) -> Tensor:
    """log(s_p / s_q) - 1 + (s_q exp(-a / s_q) + a) / s_p with a = abs(loc_q - loc_p)."""
    gap = (q.loc - p.loc).abs()
    absolute = q.log_scale.exp() * torch.exp(-gap * torch.exp(-q.log_scale)) + gap
    return (p.log_scale - q.log_scale - 1.0 + absolute * torch.exp(-p.log_scale)).transpose(0, -1)


def _normal_laplace(q: DiagonalNormal, p: DiagonalLaplace) -> Tensor:
    """log(2 s) + E abs(z - m) / s - log(2 pi e sigma^2) / 2, the mean of a folded normal in the middle."""
    gap, sigma = q.loc - p.loc, q.stddev
    t = gap / sigma
    absolute = sigma * math.sqrt(2 / math.pi) * torch.exp(-0.5 * t.square()) + gap * torch.erf(t * math.sqrt(0.5))
    entropy = 0.5 * q.log_variance + HALF_LOG_2PI + 0.5
    return (math.log(2.0) + p.log_scale + absolute * torch.exp(-p.log_scale) - entropy).transpose(0, -1)


def _fisher_uniform(q: VonMisesFisher, p: SphereUniform) -> Tensor:
    """kappa E[loc' z] + log C(kappa) + log area, one term; Davidson et al. (2018)."""
    return q.rate_to_uniform().unsqueeze(0)


_TABLE: dict[tuple[type, type], Callable[..., Tensor]] = {
    (DiagonalNormal, StandardNormal): _diagonal_standard,
    (DiagonalNormal, DiagonalNormal): _diagonal_diagonal,
    (FullNormal, StandardNormal): _full_standard,
    (FullNormal, DiagonalNormal): _full_diagonal,
    (LowRankNormal, StandardNormal): _low_rank_standard,
    (LowRankNormal, DiagonalNormal): _low_rank_diagonal,
    (DiagonalLaplace, StandardNormal): _location_scale_standard,
    (DiagonalLaplace, DiagonalNormal): _location_scale_diagonal,
    (DiagonalLaplace, DiagonalLaplace): _laplace_laplace,
    (DiagonalLogistic, StandardNormal): _location_scale_standard,
    (DiagonalLogistic, DiagonalNormal): _location_scale_diagonal,
    (DiagonalStudentT, StandardNormal): _location_scale_standard,
    (DiagonalStudentT, DiagonalNormal): _location_scale_diagonal,
    (DiagonalNormal, DiagonalLaplace): _normal_laplace,
    (VonMisesFisher, SphereUniform): _fisher_uniform,
}
