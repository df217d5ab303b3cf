"""The exponential likelihood, for positive values that are as uncertain as they are large: power spectra, waits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.gamma import Gamma
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.links import log_mean
from nelbo.registry import register


@register("likelihood/exponential")
@final
class ExponentialLikelihood(Elementwise):
    r"""log p(x given z) = -log m - x / m with the mean m = scale exp(network(z)), for every cell.

    Reference measure: Lebesgue, in the data's own units. Up to -log x - 1 it is minus the Itakura-Saito divergence of x
    from m. Log means stay softly within log(scale) +-20. The density is highest at 0, which a positive value cannot be:
    the mode is the smallest number above it.

    Parameters
    ----------
    network
        Emits log means [N, P], above log(scale).
    shape
        Shape of x.
    scale
        The size of each cell's values (their standard deviation), so that an output of 0 means a value of that size.

    References
    ----------
    Fevotte, Bertin and Durrieu (2009), Nonnegative matrix factorization with the Itakura-Saito divergence.
    """

    fits: ClassVar = frozenset({Kind.POSITIVE})
    density: ClassVar = True

    def __init__(self, network: nn.Module, shape: Sequence[int], scale: float | Sequence[float] = 1.0) -> None:
        super().__init__(network, shape, 1, scale=scale)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Gamma:
        (raw,) = self.emit(z, context)
        return Gamma(log_mean(raw, self.scale), raw.new_zeros(()))
