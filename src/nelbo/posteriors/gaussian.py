"""The diagonal Gaussian posterior."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from nelbo.core import Posterior
from nelbo.distributions.normal import DiagonalNormal, Variance
from nelbo.errors import CompositionError
from nelbo.networks.mlp import apply
from nelbo.networks.precision import full_precision
from nelbo.posteriors.sizes import check_outputs
from nelbo.registry import register


@register("posterior/gaussian")
@final
class GaussianPosterior(Posterior):
    """q(z given x) = N(mu(x), diag(sigma^2(x))); Kingma and Welling (2013), eq. 9.

    Parameters
    ----------
    network
        Emits [N, 2 D]: means, then log-variances.
    dim
        D; half of the network's outputs if it is not given.
    min_log_variance
        Smooth lower bound of the log-variances.
    """

    def __init__(self, network: nn.Module, dim: int | None = None, min_log_variance: float = -14.0) -> None:
        super().__init__()
        if dim is not None:
            check_outputs("a Gaussian posterior", network, dim, self.outputs(dim))
        emitted = getattr(network, "out_features", None)
        if isinstance(emitted, int) and emitted % 2:
            raise CompositionError(
                f"a Gaussian posterior needs a network with 2 outputs a latent dimension, but this one has {emitted}"
            )
        self.dim = emitted // 2 if isinstance(emitted, int) else dim
        self.network = network
        self.variance = Variance(min_log_variance)

    def forward(self, x: Tensor, context: Tensor | None = None) -> DiagonalNormal:
        loc, raw = full_precision(apply(self.network, x, context)).chunk(2, -1)
        variance = self.variance(raw)
        return DiagonalNormal(loc, variance.log(), variance)
