"""Closed-form rates KL(q || p), per latent dimension where it is a sum over them, where there is one.

A table of our own rather than `torch.distributions.kl_divergence`, which breaks full-graph compilation on a cold cache
and sums what a monitor wants to see apart. A pair that is not in the table has no closed form here: the caller falls
back on Monte Carlo.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Distribution

from nelbo.distributions.beta import log_beta
from nelbo.distributions.binary_codes import BernoulliCodes
from nelbo.distributions.diagonal_beta import DiagonalBeta
from nelbo.distributions.flows import Pushed
from nelbo.distributions.full_normal import FullNormal
from nelbo.distributions.kumaraswamy import Kumaraswamy
from nelbo.distributions.location_scale import (
    DiagonalCauchy,
    DiagonalGumbel,
    DiagonalLaplace,
    DiagonalLogistic,
    DiagonalStudentT,
    LocationScale,
)
from nelbo.distributions.low_rank_normal import LowRankNormal
from nelbo.distributions.normal import HALF_LOG_2PI, DiagonalNormal, StandardNormal
from nelbo.distributions.one_hot import StraightThroughOneHot
from nelbo.distributions.positive import DiagonalExponential, DiagonalGamma, DiagonalLogNormal, Positive
from nelbo.distributions.simplex import Dirichlet, log_multivariate_beta
from nelbo.distributions.sphere import SphereUniform, VonMisesFisher


def rate(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p), [G, B] in nats, or None where no closed form is known.

    G is D where the KL is a sum over latent dimensions, the number of groups where it is one over groups, else 1.
    """
    closed_form = _TABLE.get((type(q), type(p)))
    return None if closed_form is None else closed_form(q, p)


def rate_of_draws(q: Distribution, p: Distribution, samples: int) -> tuple[Tensor, Tensor] | None:
    r"""K draws z = T(e) of a flow q, [K, B, D], and an estimate of KL(q || p) by each, [1, K, B]; None without a flow.

    Against a prior to which the base q_0 of the flow has a closed-form KL,

        KL(q_0 || p) + log p(e) - log p(T(e)) - log abs(det dT / de),    e ~ q_0,

    is log q(z) - log p(z) with log q_0(e) - log p(e) replaced by its mean: unbiased, and without noise where T is the
    identity, as it is for latents that a posterior leaves at the prior.
    """
    of_base = rate(q.base, p) if isinstance(q, Pushed) else None
    if not isinstance(q, Pushed) or of_base is None:
        return None
    e = q.base.rsample((samples,))
    z, ladj = q.push(e)
    return z, (of_base.sum(0) + p.log_prob(e) - p.log_prob(z) - ladj).unsqueeze(0)


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
    """(Var_d + mean_d^2 + log(2 pi)) / 2 - H_d: the cross-entropy with a Gaussian needs two moments only."""
    squares = q.variance + q.mean.square()
    return (0.5 * squares + HALF_LOG_2PI - q.entropy_per_dimension()).transpose(0, -1)


def _location_scale_diagonal(q: LocationScale, p: DiagonalNormal) -> Tensor:
    """((Var_d + (mean_d - m_d)^2) / s_d^2 + log(2 pi s_d^2)) / 2 - H_d."""
    squares = (q.variance + (q.mean - p.loc).square()) * torch.exp(-p.log_variance)
    return (0.5 * (squares + p.log_variance) + HALF_LOG_2PI - q.entropy_per_dimension()).transpose(0, -1)


def _laplace_laplace(q: DiagonalLaplace, p: DiagonalLaplace) -> Tensor:
    """log(s_p / s_q) - 1 + (s_q exp(-a / s_q) + a) / s_p with a = abs(loc_q - loc_p)."""
    gap = (q.loc - p.loc).abs()
    absolute = q.log_scale.exp() * torch.exp(-gap * torch.exp(-q.log_scale)) + gap
    return (p.log_scale - q.log_scale - 1.0 + absolute * torch.exp(-p.log_scale)).transpose(0, -1)


def _cauchy_cauchy(q: DiagonalCauchy, p: DiagonalCauchy) -> Tensor:
    """log(((s_q + s_p)^2 + (loc_q - loc_p)^2) / (4 s_q s_p)); Chyzak and Nielsen (2019), arXiv:1905.10965."""
    distance = torch.hypot(q.log_scale.exp() + p.log_scale.exp(), q.loc - p.loc)
    return (2 * torch.log(0.5 * distance) - q.log_scale - p.log_scale).transpose(0, -1)


def _positive_gamma(q: Positive, p: DiagonalGamma) -> Tensor:
    """lgamma(k) - k log r - (k - 1) E log z + r E z - H_d, k and r shape and rate of p: two means, in float64."""
    log_k = p.log_concentration.double()
    k, log_rate, exact = log_k.exp(), log_k - p.log_mean.double(), q.double()
    cross = torch.lgamma(k) - k * log_rate - (k - 1) * exact.mean_log + log_rate.exp() * exact.mean
    return (cross - exact.entropy_per_dimension()).to(q.mean.dtype).transpose(0, -1)


def _beta_beta(q: DiagonalBeta, p: DiagonalBeta) -> Tensor:
    """log(B(c, d) / B(a, b)) + (a - c) psi(a) + (b - d) psi(b) + (c - a + d - b) psi(a + b), in float64."""
    a, b = q.log_a.double().exp(), q.log_b.double().exp()
    c, d = p.log_a.double().exp(), p.log_b.double().exp()
    total = torch.digamma(a + b)
    means = (a - c) * (torch.digamma(a) - total) + (b - d) * (torch.digamma(b) - total)
    return (log_beta(c, d) - log_beta(a, b) + means).to(q.log_a.dtype).transpose(0, -1)


def _dirichlet_dirichlet(q: Dirichlet, p: Dirichlet) -> Tensor:
    """log(B(b) / B(a)) + sum_d (a_d - b_d) (psi(a_d) - psi(sum_j a_j)), one term, in float64."""
    a, b = q.log_concentration.double().exp(), p.log_concentration.double().exp()
    means = torch.digamma(a) - torch.digamma(a.sum(-1, keepdim=True))
    divergence = log_multivariate_beta(b) - log_multivariate_beta(a) + ((a - b) * means).sum(-1)
    return divergence.to(q.log_concentration.dtype).unsqueeze(0)


def _kumaraswamy_beta(q: Kumaraswamy, p: DiagonalBeta) -> Tensor:
    """log(a b) + (a - c) E log v - (b - 1) / b + log B(c, d) - (d - 1) E log(1 - v), the last mean by quadrature.

    Nalisnick and Smyth (2017), who cut a series for the last mean after a few terms.
    """
    a, c, d = q.log_a.exp(), p.log_a.exp(), p.log_b.exp()
    means = (a - c) * q.mean_log() - (d - 1) * q.mean_log1m()
    constant = log_beta(p.log_a.double().exp(), p.log_b.double().exp()).to(means.dtype)
    return (q.log_a + q.log_b + means + torch.expm1(-q.log_b) + constant).transpose(0, -1)


def _one_hot_one_hot(q: StraightThroughOneHot, p: StraightThroughOneHot) -> Tensor:
    """sum_k q_k (log q_k - log p_k), one term a group."""
    log_q = q.log_shares
    return (log_q.exp() * (log_q - p.log_shares)).sum(-1).transpose(0, -1)


def _bernoulli_bernoulli(q: BernoulliCodes, p: BernoulliCodes) -> Tensor:
    """a log(a / b) + (1 - a) log((1 - a) / (1 - b)), a and b the probabilities of 1, by logarithms of both outcomes."""
    ones = q.mean * (F.logsigmoid(q.logits) - F.logsigmoid(p.logits))
    zeros = torch.sigmoid(-q.logits) * (F.logsigmoid(-q.logits) - F.logsigmoid(-p.logits))
    return (ones + zeros).transpose(0, -1)


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
    (DiagonalGumbel, StandardNormal): _location_scale_standard,
    (DiagonalGumbel, DiagonalNormal): _location_scale_diagonal,
    (DiagonalCauchy, DiagonalCauchy): _cauchy_cauchy,
    (DiagonalNormal, DiagonalLaplace): _normal_laplace,
    (DiagonalExponential, DiagonalGamma): _positive_gamma,
    (DiagonalLogNormal, DiagonalGamma): _positive_gamma,
    (DiagonalGamma, DiagonalGamma): _positive_gamma,
    (DiagonalBeta, DiagonalBeta): _beta_beta,
    (Kumaraswamy, DiagonalBeta): _kumaraswamy_beta,
    (Dirichlet, Dirichlet): _dirichlet_dirichlet,
    (StraightThroughOneHot, StraightThroughOneHot): _one_hot_one_hot,
    (BernoulliCodes, BernoulliCodes): _bernoulli_bernoulli,
    (VonMisesFisher, SphereUniform): _fisher_uniform,
}
