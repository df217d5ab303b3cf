"""The inverse autoregressive flow posterior."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from nelbo.arguments import Count, Widths
from nelbo.distributions.flows import Pushed, autoregressive_steps, layer_sizes
from nelbo.distributions.normal import DiagonalNormal, Variance
from nelbo.errors import ConfigError
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


@register("posterior/iaf")
@final
class InverseAutoregressivePosterior(Amortised):
    r"""e ~ N(mu(x), diag(sigma^2(x))), then `steps` times e_i <- e_i exp(s_i(e_<i, h(x))) + m_i(e_<i, h(x)).

    A draw and its log density cost one pass a step; the density of a z from elsewhere costs D passes a step. Every
    other step runs through the dimensions backwards.

    Parameters
    ----------
    network
        Emits [N, 3 D]: means, log-variances, and the context h of the maps.
    dim
        D.
    steps
        Number of maps.
    hidden
        Sizes of the hidden layers of each map's masked network.
    min_log_variance
        Smooth lower bound of the log-variances of the base.

    References
    ----------
    Kingma et al. (2016), Improving variational inference with inverse autoregressive flow, arXiv:1606.04934,
    sections 3 and 4; the maps are zuko's.
    """

    can_stop = False  # the maps keep theirs in networks of their own

    def __init__(
        self,
        network: nn.Module,
        dim: int,
        steps: Count = 2,
        hidden: Widths | int = 320,
        min_log_variance: float = -14.0,
    ) -> None:
        super().__init__("an inverse autoregressive posterior", network, dim, self.outputs(dim))
        if steps < 1:
            raise ConfigError(
                f"an inverse autoregressive flow needs 1 step or more, but {steps} was given; use e.g. "
                "--posterior iaf:steps=2,hidden=320"
            )
        self.variance = Variance(min_log_variance)
        self.maps = autoregressive_steps(dim, dim, steps, layer_sizes(hidden))

    @classmethod
    def outputs(cls, dim: int) -> int:
        return 3 * dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Pushed:
        loc, raw, h = self.emit(x, context).chunk(3, -1)
        variance = self.variance(raw)
        return Pushed(DiagonalNormal(loc, variance.log(), variance), [step(h) for step in self.maps])
