"""The neural spline flow posterior."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.arguments import Count, Widths
from nelbo.distributions.flows import Affine, Pushed, layer_sizes, spline_steps
from nelbo.distributions.normal import DiagonalNormal, LogVariance
from nelbo.errors import ConfigError
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


@register("posterior/spline")
@final
class SplinePosterior(Amortised):
    r"""z = mu(x) + sigma(x) T_S(... T_1(e)), e ~ N(0, I), T_i autoregressive splines that read e and h(x).

    The splines bend the standardised latents, on [-5, 5], where they are; the affine map comes last. A draw and its
    log density cost one pass a step; the density of a z from elsewhere costs D passes a step.

    Parameters
    ----------
    network
        Emits [N, 3 D]: means, log-variances, and the context h of the splines.
    dim
        D.
    steps
        Number of splines; every other one runs through the dimensions backwards.
    bins
        Pieces of each spline, 2 or more.
    hidden
        Sizes of the hidden layers of each spline's masked network.
    min_log_variance
        Smooth lower bound of 2 log sigma.

    References
    ----------
    Durkan et al. (2019), Neural spline flows, arXiv:1906.04032, section 3; the splines are zuko's.
    """

    can_stop = False  # the maps keep theirs in networks of their own

    def __init__(
        self,
        network: nn.Module,
        dim: int,
        steps: Count = 2,
        bins: int = 8,
        hidden: Widths | int = 128,
        min_log_variance: float = -14.0,
    ) -> None:
        super().__init__("a spline posterior", network, dim, self.outputs(dim))
        if steps < 1 or bins < 2:
            raise ConfigError(
                f"a spline flow needs 1 step and 2 bins or more, but {steps} and {bins} were given; use e.g. "
                "--posterior spline:steps=2,bins=8"
            )
        self.log_variance = LogVariance(min_log_variance)
        self.maps = spline_steps(dim, dim, steps, bins, layer_sizes(hidden))

    @classmethod
    def outputs(cls, dim: int) -> int:
        return 3 * dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Pushed:
        loc, raw, h = self.emit(x, context).chunk(3, -1)
        zeros = torch.zeros_like(loc)
        affine = Affine(loc, 0.5 * self.log_variance(raw))
        return Pushed(DiagonalNormal(zeros, zeros), [*(step(h) for step in self.maps), affine])
