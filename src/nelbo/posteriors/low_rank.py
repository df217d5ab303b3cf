"""The Gaussian posterior whose covariance is a diagonal and a few factors."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.distributions.low_rank_normal import LowRankNormal
from nelbo.distributions.normal import LogVariance
from nelbo.errors import ConfigError
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


@register("posterior/low-rank-gaussian")
@final
class LowRankGaussianPosterior(Amortised):
    r"""q(z given x) = N(mu(x), W(x) W(x)' + diag(sigma^2(x))), W of `rank` columns.

    Between the diagonal and the full Gaussian: correlations for D `rank` outputs instead of D (D - 1) / 2.

    Parameters
    ----------
    network
        Emits [N, 2 D + D rank]: means, log-variances, then W row by row.
    dim
        D.
    rank
        Number of columns of W, 1 or more.
    min_log_variance
        Smooth lower bound of the log-variances of the diagonal.

    References
    ----------
    Ong, Nott and Smith (2018), Gaussian variational approximation with a factor covariance structure,
    arXiv:1701.03208; with one column, Rezende, Mohamed and Wierstra (2014), arXiv:1401.4082.
    """

    def __init__(self, network: nn.Module, dim: int, rank: int = 2, min_log_variance: float = -14.0) -> None:
        super().__init__("a low-rank Gaussian posterior", network, dim, self.outputs(dim, rank))
        self.rank = rank
        self.log_variance = LogVariance(min_log_variance)

    @classmethod
    def outputs(cls, dim: int, rank: int = 2) -> int:
        if rank < 1:
            raise ConfigError(
                f"a low-rank Gaussian posterior needs a rank of 1 or more, but {rank} was given; use e.g. "
                "--posterior low-rank-gaussian:rank=2"
            )
        return 2 * dim + dim * rank

    def forward(self, x: Tensor, context: Tensor | None = None) -> LowRankNormal:
        features = self.emit(x, context)
        loc, raw, factor = torch.split(features, [self.dim, self.dim, self.dim * self.rank], -1)
        return LowRankNormal(loc, self.log_variance(raw), factor.reshape(*loc.shape, self.rank))
