"""The planar flow posterior."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.arguments import Count
from nelbo.distributions.bijections import Planar
from nelbo.errors import ConfigError
from nelbo.posteriors.emitted_flow import EmittedFlow
from nelbo.registry import register


@register("posterior/planar")
@final
class PlanarPosterior(EmittedFlow):
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

    def __init__(self, network: nn.Module, dim: int, steps: Count = 4, min_log_variance: float = -14.0) -> None:
        super().__init__("a planar posterior", network, dim, steps, self.outputs(dim, steps), min_log_variance)

    @classmethod
    def outputs(cls, dim: int, steps: int = 4) -> int:
        if steps < 1:
            raise ConfigError(
                f"a planar flow needs 1 step or more, but {steps} was given; use e.g. --posterior planar:steps=4"
            )
        return 2 * dim + steps * (2 * dim + 1)

    def maps(self, step: Tensor) -> list[Planar]:
        u, w, b = torch.split(step, [self.dim, self.dim, 1], -1)
        return [Planar(u, w, b.squeeze(-1))]
