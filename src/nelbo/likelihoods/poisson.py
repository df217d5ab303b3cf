"""The Poisson likelihood, for counts that vary as much as their mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.poisson import Poisson
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.links import log_mean
from nelbo.registry import register


@register("likelihood/poisson")
@final
class PoissonLikelihood(Elementwise):
    r"""p(x given z) = Poisson(m = scale exp(network(z))) for every cell.

    Reference measure: probability mass on 0, 1, 2, ... Log means stay softly within log(scale) +-20.

    Parameters
    ----------
    network
        Emits log means [N, P], above log(scale).
    shape
        Shape of x.
    scale
        The size of each cell's counts (their standard deviation), so that an output of 0 means a count of that size.

    References
    ----------
    Nazabal et al. (2020), Handling incomplete heterogeneous data using VAEs, arXiv:1807.03653.
    """

    fits: ClassVar = frozenset({Kind.COUNT})
    density: ClassVar = False

    def __init__(self, network: nn.Module, shape: Sequence[int], scale: float | Sequence[float] = 1.0) -> None:
        super().__init__(network, shape, 1, scale=scale)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Poisson:
        (raw,) = self.emit(z, context)
        return Poisson(log_mean(raw, self.scale))
