"""What posteriors share: one network that emits their parameters for every datum."""

from __future__ import annotations

from abc import ABC

from torch import Tensor, nn

from nelbo.core import Posterior
from nelbo.networks.mlp import apply
from nelbo.networks.precision import full_precision
from nelbo.posteriors.sizes import check_outputs


class Amortised(Posterior, ABC):
    """A posterior over D dimensions whose parameters are the outputs of one network of x (and of the context).

    Parameters
    ----------
    what
        What it is called where it is refused: "a planar posterior".
    network
        Emits [N, needed].
    dim
        D.
    needed
        Number of outputs that it reads.

    Raises
    ------
    CompositionError
        If the network has another number of outputs.
    """

    def __init__(self, what: str, network: nn.Module, dim: int, needed: int) -> None:
        super().__init__()
        check_outputs(what, network, dim, needed)
        self.network = network
        self.dim = dim

    def emit(self, x: Tensor, context: Tensor | None) -> Tensor:
        """The network's outputs for x, [N, needed], in float32 or better."""
        return full_precision(apply(self.network, x, context))
