"""The gamma likelihood, for positive values whose spread is a share of their mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.gamma import Gamma
from nelbo.likelihoods.dispersion import Dispersion, Width, emitted_outputs
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.links import log_concentration, log_mean
from nelbo.registry import register


@register("likelihood/gamma")
@final
class GammaLikelihood(Elementwise):
    r"""p(x given z) = Gamma(mean m = scale exp(network(z)), concentration k) for every cell: variance m^2 / k.

    Reference measure: Lebesgue, in the data's own units. Log means stay softly within log(scale) +-20.

    Parameters
    ----------
    network
        Emits log means [N, P], above log(scale); with `concentration="datum"` log concentrations as well, [N, 2 P].
    shape
        Shape of x.
    concentration
        `shared`: one learned k; `dimension`: one a cell; `datum`: k(z) from the network. log k stays softly within
        +-10.
    scale
        The size of each cell's values (their standard deviation), so that an output of 0 means a value of that size.

    References
    ----------
    McCullagh and Nelder (1989), Generalized linear models, chapter 8 (with the logarithm as link).
    """

    fits: ClassVar = frozenset({Kind.POSITIVE})
    density: ClassVar = True

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        concentration: Width = "dimension",
        scale: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__(network, shape, 1 + emitted_outputs(concentration), scale=scale)
        self.dispersion = Dispersion("concentration of the gamma likelihood", concentration, self.cells)

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 1 + emitted_outputs(options.get("concentration", "dimension"))

    def forward(self, z: Tensor, context: Tensor | None = None) -> Gamma:
        emitted = self.emit(z, context)
        return Gamma(log_mean(emitted[0], self.scale), log_concentration(self.dispersion(emitted)))
