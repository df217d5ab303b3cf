"""The negative binomial likelihood, for counts that vary more than a Poisson allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, final, get_args

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.data.spec import Kind
from nelbo.distributions.negative_binomial import NegativeBinomial
from nelbo.errors import unknown
from nelbo.likelihoods.dispersion import Learned
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.registry import register

Dispersion = Literal["dimension", "datum"]
STEEPEST = 10.0  # log dispersion: 22,000, a Poisson for every practical purpose


@register("likelihood/negative-binomial")
@final
class NegativeBinomialLikelihood(Elementwise):
    r"""p(x given z) = NB(mean = scale exp(network(z)), dispersion r) for every cell: variance m + m^2 / r.

    Reference measure: probability mass on 0, 1, 2, ...

    Parameters
    ----------
    network
        Emits log means [N, P], above log(scale); with `dispersion="datum"` log dispersions as well, [N, 2 P].
    shape
        Shape of x.
    dispersion
        `dimension`: one learned r a cell; `datum`: r from the network. log r stays within +-10, softly.
    scale
        The size of each cell's counts (their standard deviation), so that an output of 0 means a count of that size.

    References
    ----------
    Lopez et al. (2018), Deep generative modeling for single-cell transcriptomics, section 2 (without its zero
    inflation).
    """

    fits: ClassVar = frozenset({Kind.COUNT})
    density: ClassVar = False

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        dispersion: Dispersion = "dimension",
        scale: float | Sequence[float] = 1.0,
    ) -> None:
        if dispersion not in get_args(Dispersion):
            raise unknown("dispersion of the negative-binomial likelihood", dispersion, get_args(Dispersion))
        super().__init__(network, shape, 2 if dispersion == "datum" else 1, scale=scale)
        self.per_datum = dispersion == "datum"
        self.raw_log_dispersion = None if self.per_datum else Learned(self.cells)

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 2 if options.get("dispersion") == "datum" else 1

    def forward(self, z: Tensor, context: Tensor | None = None) -> NegativeBinomial:
        emitted = self.emit(z, context)
        raw = emitted[1] if self.raw_log_dispersion is None else self.raw_log_dispersion()
        return NegativeBinomial(emitted[0] + self.scale.log(), STEEPEST * torch.tanh(raw / STEEPEST))

    def mode(self, px: Distribution) -> Tensor:
        return px.mode
