"""The mixture-of-Gaussians prior."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.core import Posterior, Prior
from nelbo.distributions.mixture import NormalMixture
from nelbo.distributions.normal import LogVariance
from nelbo.errors import ConfigError
from nelbo.registry import register


@register("prior/mixture")
@final
class MixturePrior(Prior):
    r"""p(z) = sum_c pi_c N(mu_c, diag(sigma_c^2)), all learned.

    The KL to a Gaussian posterior has no closed form; the bound is estimated with the sampled KL,
    log q(z given x) - log p(z), where log p(z) = logsumexp_c [log pi_c + log N(z; mu_c, sigma_c^2)].

    Parameters
    ----------
    dim
        Number of latent dimensions.
    components
        C.
    spread
        Standard deviation of the initial means; variances start at 1, weights equal. Means that start equal would
        stay so: every component would get the same gradient.
    min_log_variance
        Smooth lower bound of the log-variances; without one a component can shrink onto a single code.

    References
    ----------
    Dilokthanakul et al. (2016), arXiv:1611.02648; the "MoG" prior of Tomczak and Welling (2018), arXiv:1705.07120,
    section 2.
    """

    def __init__(self, dim: int, components: int = 10, spread: float = 1.0, min_log_variance: float = -14.0) -> None:
        super().__init__()
        if dim < 1 or components < 1 or not spread > 0:
            raise ConfigError(
                "a mixture prior needs 1 dimension, 1 component and a spread above 0, or more, but "
                f"{dim}, {components} and {spread} were given; use e.g. --latent 20 --prior mixture:components=10"
            )
        self.dim = dim
        self.loc = nn.Parameter(spread * torch.randn(components, dim))
        self.raw_log_variance = nn.Parameter(torch.zeros(components, dim))
        self.log_weights = nn.Parameter(torch.zeros(components))
        self.log_variance = LogVariance(min_log_variance)

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> NormalMixture:
        return NormalMixture(self.log_weights, self.loc, self.log_variance(self.raw_log_variance))
