"""The Laplace likelihood, whose error is absolute where a Gaussian's is squared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.distributions import Laplace

from nelbo.distributions.normal import LogVariance
from nelbo.likelihoods.dispersion import Dispersion, Width, emitted_outputs
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.gaussian import GaussianLikelihood
from nelbo.registry import register


@register("likelihood/laplace")
@final
class LaplaceLikelihood(Elementwise):
    r"""p(x given z) = exp(-abs(x - m) / b) / 2b with m = shift + scale m(z), b = scale s, for every cell.

    Reference measure: Lebesgue, in the data's own units. The network learns conditional medians.

    Parameters
    ----------
    network
        Emits medians [N, P] in scaled units; with `sigma="datum"` medians, then log squared scales: [N, 2 P].
    shape
        Shape of x.
    sigma
        `shared`: one learned s; `dimension`: one a cell; `datum`: s(z) from the network.
    min_log_variance
        Smooth lower bound of log s^2.

    References
    ----------
    Kotz, Kozubowski and Podgorski (2001), The Laplace distribution and generalizations.
    """

    fits: ClassVar = GaussianLikelihood.fits
    after: ClassVar = GaussianLikelihood.after
    density: ClassVar = True

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        sigma: Width = "dimension",
        shift: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        min_log_variance: float = -14.0,
    ) -> None:
        super().__init__(network, shape, 1 + emitted_outputs(sigma), shift, scale)
        self.dispersion = Dispersion("sigma of the laplace likelihood", sigma, self.cells)
        self.log_variance = LogVariance(min_log_variance)

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 1 + emitted_outputs(options.get("sigma", "dimension"))

    def forward(self, z: Tensor, context: Tensor | None = None) -> Laplace:
        emitted = self.emit(z, context)
        spread = torch.exp(0.5 * self.log_variance(self.dispersion(emitted)))
        return Laplace(torch.addcmul(self.shift, self.scale, emitted[0]), self.scale * spread, validate_args=False)
