"""The Gaussian posterior with a full covariance."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.distributions.full_normal import FullNormal
from nelbo.distributions.normal import LogVariance
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


@register("posterior/full-gaussian")
@final
class FullGaussianPosterior(Amortised):
    """q(z given x) = N(mu(x), L(x) L(x)') with L lower triangular; Kingma and Welling (2019), section 2.5.1.

    The diagonal of L is exp of half a bounded log-variance, what stands below it is free; at the start it is nearly
    the diagonal posterior.

    Parameters
    ----------
    network
        Emits [N, D + D (D + 1) / 2]: means, log-variances of the diagonal, then L below the diagonal, row by row.
    dim
        D.
    min_log_variance
        Smooth lower bound of twice the logarithms of L's diagonal.
    """

    def __init__(self, network: nn.Module, dim: int, min_log_variance: float = -14.0) -> None:
        super().__init__("a full Gaussian posterior", network, dim, self.outputs(dim))
        self.log_variance = LogVariance(min_log_variance)
        self.register_buffer("below", torch.tril_indices(dim, dim, -1), persistent=False)

    below: Tensor

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim + dim * (dim + 1) // 2

    def forward(self, x: Tensor, context: Tensor | None = None) -> FullNormal:
        features = self.emit(x, context)
        loc, raw, off = torch.split(features, [self.dim, self.dim, self.below.shape[1]], -1)
        factor = torch.diag_embed(torch.exp(0.5 * self.log_variance(raw)))
        factor[..., self.below[0], self.below[1]] = off
        return FullNormal(loc, factor)
