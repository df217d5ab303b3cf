"""The planar flow posterior."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from nelbo.core import Posterior, full_precision
from nelbo.distributions.bijections import Planar
from nelbo.distributions.flows import Pushed
from nelbo.distributions.normal import DiagonalNormal, Variance
from nelbo.errors import ConfigError
from nelbo.networks.mlp import apply
from nelbo.posteriors.sizes import check_outputs
from nelbo.registry import register


@register("posterior/planar")
@final
class PlanarPosterior(Posterior):
    r"""e ~ N(mu(x), diag(sigma^2(x))), then `steps` times e <- e + v_i(x) tanh(w_i(x)'e + b_i(x)).

    A draw and its log density cost O(D) a step; the density of a z from elsewhere needs the root of a function of one
    variable a step. All parameters of the maps come from the network.

    Parameters
    ----------
    network
        Emits [N, 2 D + steps (2 D + 1)]: means, log-variances, then u, w and b of each map.
    dim
        D.
    steps
        Number of maps.
    min_log_variance
        Smooth lower bound of the log-variances of the base.

    References
    ----------
    Rezende and Mohamed (2015), Variational inference with normalizing flows, arXiv:1505.05770, section 4.1.
    """

    def __init__(self, network: nn.Module, dim: int, steps: int = 4, min_log_variance: float = -14.0) -> None:
        super().__init__()
        check_outputs("a planar posterior", network, dim, self.outputs(dim, steps))
        self.network = network
        self.dim = dim
        self.steps = steps
        self.variance = Variance(min_log_variance)

    @classmethod
    def outputs(cls, dim: int, steps: int = 4) -> int:
        if steps < 1:
            raise ConfigError(
                f"a planar flow needs 1 step or more, but {steps} was given; use e.g. --posterior planar:steps=4"
            )
        return 2 * dim + steps * (2 * dim + 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Pushed:
        features = full_precision(apply(self.network, x, context))
        dim = self.dim
        loc, variance = features[..., :dim], self.variance(features[..., dim : 2 * dim])
        steps = features[..., 2 * dim :].chunk(self.steps, -1)
        maps = [Planar(step[..., :dim], step[..., dim : 2 * dim], step[..., -1]) for step in steps]
        return Pushed(DiagonalNormal(loc, variance.log(), variance), maps)
