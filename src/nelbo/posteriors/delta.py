"""The point posterior of an autoencoder."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from nelbo.distributions.delta import Delta
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


@register("posterior/delta")
@final
class DeltaPosterior(Amortised):
    """q(z given x) puts all its mass on the code f(x): the deterministic encoder of an autoencoder.

    It has no density, so that there is no KL, no bound and no likelihood; its objective is `autoencoder`.

    Parameters
    ----------
    network
        Emits the code [N, D].
    dim
        D.
    """

    has_density = False
    can_stop = False

    def __init__(self, network: nn.Module, dim: int) -> None:
        super().__init__("a point posterior", network, dim, self.outputs(dim))

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Delta:
        return Delta(self.emit(x, context))
