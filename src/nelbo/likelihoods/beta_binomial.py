"""The beta-binomial likelihood, for levels in order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.beta_binomial import BetaBinomial
from nelbo.errors import CompositionError
from nelbo.likelihoods.dispersion import Dispersion, Width, emitted_outputs
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.links import log_concentration, logit_mean
from nelbo.registry import register

FLAT = math.log(2.0)  # the log precision at which, around the middle, every level is as probable


@register("likelihood/beta-binomial")
@final
class BetaBinomialLikelihood(Elementwise):
    r"""p(x given z) = BetaBinomial(levels - 1 trials, mean share sigmoid(network(z)), precision n) for every cell.

    Reference measure: probability mass on 0 .. levels-1. It is never narrower than a binomial: a byte is known to 8
    levels at best, which for grey images costs more than a discretised logistic does.

    Parameters
    ----------
    network
        Emits logits of mean shares [N, P]; with `precision="datum"` log precisions as well, [N, 2 P].
    shape
        Shape of x.
    levels
        Number of levels; a byte has 256.
    precision
        `shared`: one learned n; `dimension`: one a cell; `datum`: n(z) from the network. log n starts at log 2, where
        every level is as probable, and stays softly within 10 of it.

    References
    ----------
    Skellam (1948), A probability distribution derived from the binomial distribution.
    """

    fits: ClassVar = frozenset({Kind.BYTE, Kind.LEVELS})
    density: ClassVar = False

    def __init__(self, network: nn.Module, shape: Sequence[int], levels: int = 256, precision: Width = "datum") -> None:
        if levels < 2:
            raise CompositionError(f"a beta-binomial likelihood needs 2 levels or more, but {levels} was given")
        super().__init__(network, shape, 1 + emitted_outputs(precision))
        self.dispersion = Dispersion("precision of the beta-binomial likelihood", precision, self.cells)
        self.levels = levels

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 1 + emitted_outputs(options.get("precision", "datum"))

    def forward(self, z: Tensor, context: Tensor | None = None) -> BetaBinomial:
        emitted = self.emit(z, context)
        log_precision = log_concentration(self.dispersion(emitted)) + FLAT
        return BetaBinomial(logit_mean(emitted[0]), log_precision, self.levels)
