"""The beta likelihood, for data in the unit interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.beta import Beta
from nelbo.errors import ConfigError
from nelbo.likelihoods.dispersion import Dispersion, Width, emitted_outputs
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.links import log_concentration, logit_mean
from nelbo.registry import register

FLAT = math.log(2.0)  # the log precision at which, around a mean of 1/2, the beta is uniform


@register("likelihood/beta")
@final
class BetaLikelihood(Elementwise):
    r"""p(x given z) = Beta(mean sigmoid(network(z)), precision n) for every cell, squeezed off 0 and 1.

    Reference measure: Lebesgue on [0, 1]. A beta can be infinite at 0 and 1: data with many values there (a black
    background) earn up to log(1 / squeeze) nats for each, which says more about the squeeze than about the model.

    Parameters
    ----------
    network
        Emits logits of means [N, P]; with `precision="datum"` log precisions as well, [N, 2 P].
    shape
        Shape of x.
    precision
        `shared`: one learned n; `dimension`: one a cell; `datum`: n(z) from the network. log n starts at log 2, where
        the beta is uniform, and stays softly within 10 of it.
    squeeze
        How far from 0 and 1 the values that the beta sees are kept; see `Beta`.

    Raises
    ------
    ConfigError
        If `squeeze` is not above 0 and below 1/2.

    References
    ----------
    Ferrari and Cribari-Neto (2004), Beta regression for modelling rates and proportions.
    """

    fits: ClassVar = frozenset({Kind.UNIT})
    density: ClassVar = True

    def __init__(
        self, network: nn.Module, shape: Sequence[int], precision: Width = "datum", squeeze: float = 1e-6
    ) -> None:
        if not 0 < squeeze < 0.5:
            raise ConfigError(
                f"squeeze of the beta likelihood is {squeeze}; give a number between 0 and 0.5, as in beta:squeeze=1e-6"
            )
        super().__init__(network, shape, 1 + emitted_outputs(precision))
        self.dispersion = Dispersion("precision of the beta likelihood", precision, self.cells)
        self.squeeze = squeeze

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 1 + emitted_outputs(options.get("precision", "datum"))

    def forward(self, z: Tensor, context: Tensor | None = None) -> Beta:
        emitted = self.emit(z, context)
        return Beta(logit_mean(emitted[0]), log_concentration(self.dispersion(emitted)) + FLAT, self.squeeze)
