"""The radial flow posterior."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.arguments import Count
from nelbo.distributions.bijections import MARGIN, Radial
from nelbo.errors import ConfigError
from nelbo.posteriors.emitted_flow import EmittedFlow
from nelbo.registry import register


@register("posterior/radial")
@final
class RadialPosterior(EmittedFlow):
    r"""e ~ N(mu(x), diag(sigma^2(x))), then `steps` times e <- e + beta_i (e - c_i) / (a_i + |e - c_i|).

    Space contracts around c_i(x) or expands, the more the nearer to it; beta_i > -a_i keeps the map one to one. A draw
    and its log density cost O(D) a step, and so does the density of a z from elsewhere. All parameters of the maps come
    from the network.

    Parameters
    ----------
    network
        Emits [N, 2 D + steps (D + 2)]: means, log-variances, then centre, raw a and raw a + beta of each map.
    dim
        D.
    steps
        Number of maps.
    min_log_variance
        Smooth lower bound of the log-variances of the base.

    References
    ----------
    Rezende and Mohamed (2015), Variational inference with normalizing flows, arXiv:1505.05770, eq. 14.
    """

    def __init__(self, network: nn.Module, dim: int, steps: Count = 4, min_log_variance: float = -14.0) -> None:
        super().__init__("a radial posterior", network, dim, steps, self.outputs(dim, steps), min_log_variance)

    @classmethod
    def outputs(cls, dim: int, steps: int = 4) -> int:
        if steps < 1:
            raise ConfigError(
                f"a radial flow needs 1 step or more, but {steps} was given; use e.g. --posterior radial:steps=4"
            )
        return 2 * dim + steps * (dim + 2)

    def maps(self, step: Tensor) -> list[Radial]:
        sizes = (F.softplus(step[..., self.dim :]) + MARGIN).log()
        return [Radial(step[..., : self.dim], sizes[..., 0], sizes[..., 1])]
