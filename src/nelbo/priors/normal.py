"""The Gaussian prior with a learned mean and variance."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.core import Posterior, Prior
from nelbo.distributions.normal import DiagonalNormal, LogVariance
from nelbo.errors import ConfigError
from nelbo.registry import register


@register("prior/normal")
@final
class NormalPrior(Prior):
    """p(z) = N(mu, diag(sigma^2)), both learned; Hoffman and Johnson (2016), ELBO surgery, section 1.

    It is the optimal prior among diagonal Gaussians once mu and sigma^2 are the moments of the aggregate posterior. A
    decoder whose first layer is affine can undo it, so that it adds nothing there but speed.

    Parameters
    ----------
    dim
        Number of latent dimensions.
    min_log_variance
        Smooth lower bound of the log-variances; at the start the prior is standard normal.
    """

    def __init__(self, dim: int, min_log_variance: float = -14.0) -> None:
        super().__init__()
        if dim < 1:
            raise ConfigError(
                f"a normal prior needs 1 dimension or more, but {dim} was asked for; use e.g. --latent 20"
            )
        self.dim = dim
        self.log_variance = LogVariance(min_log_variance)
        self.loc = nn.Parameter(torch.zeros(dim))
        self.raw_log_variance = nn.Parameter(self.log_variance.inverse(torch.zeros(dim)))

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> DiagonalNormal:
        return DiagonalNormal(self.loc, self.log_variance(self.raw_log_variance))
