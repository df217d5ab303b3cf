"""The zero-inflated negative binomial likelihood, for counts that are often lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.negative_binomial import NegativeBinomial
from nelbo.distributions.zero_inflated import ZeroInflated
from nelbo.likelihoods.dispersion import Dispersion, Width, emitted_outputs
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.links import log_concentration, log_mean
from nelbo.registry import register


@register("likelihood/zero-inflated-negative-binomial")
@final
class ZeroInflatedNegativeBinomialLikelihood(Elementwise):
    r"""p(x given z) = w(z) [x = 0] + (1 - w(z)) NB(x; mean scale exp(m(z)), dispersion r) for every cell.

    Reference measure: probability mass on 0, 1, 2, ... Log means stay softly within log(scale) +-20.

    Parameters
    ----------
    network
        Emits log means, above log(scale), then logits of w, [N, 2 P]; with `dispersion="datum"` log dispersions as
        well, [N, 3 P].
    shape
        Shape of x.
    dispersion
        `shared`: one learned r; `dimension`: one a cell; `datum`: r(z) from the network. log r stays softly within
        +-10.
    scale
        The size of each cell's counts (their standard deviation), so that an output of 0 means a count of that size.

    References
    ----------
    Lopez et al. (2018), Deep generative modeling for single-cell transcriptomics.
    """

    fits: ClassVar = frozenset({Kind.COUNT})
    density: ClassVar = False

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        dispersion: Width = "dimension",
        scale: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__(network, shape, 2 + emitted_outputs(dispersion), scale=scale)
        self.dispersion = Dispersion(
            "dispersion of the zero-inflated-negative-binomial likelihood", dispersion, self.cells
        )

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 2 + emitted_outputs(options.get("dispersion", "dimension"))

    def forward(self, z: Tensor, context: Tensor | None = None) -> ZeroInflated:
        emitted = self.emit(z, context)
        counts = NegativeBinomial(log_mean(emitted[0], self.scale), log_concentration(self.dispersion(emitted)))
        return ZeroInflated(counts, emitted[1])
