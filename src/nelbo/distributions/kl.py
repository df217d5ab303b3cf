"""Closed-form rates KL(q || p), per latent dimension, where there is one.

A table of our own rather than `torch.distributions.kl_divergence`, which breaks full-graph compilation on a cold cache
and sums what a monitor wants to see apart. A pair that is not in the table has no closed form here: the caller falls
back on Monte Carlo.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.distributions.full_normal import FullNormal
from nelbo.distributions.normal import DiagonalNormal, StandardNormal


def rate(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q || p) per latent dimension, [G, B] in nats, or None where no closed form is known."""
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


_TABLE: dict[tuple[type, type], Callable[..., Tensor]] = {
    (DiagonalNormal, StandardNormal): _diagonal_standard,
    (DiagonalNormal, DiagonalNormal): _diagonal_diagonal,
    (FullNormal, StandardNormal): _full_standard,
}
