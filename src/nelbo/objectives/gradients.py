"""Gradient estimators: surrogates whose gradient estimates that of a bound."""

from __future__ import annotations

from typing import final

from torch import Tensor

from nelbo.core import Bound, Draw, Gradient, Terms


@final
class Pathwise(Gradient):
    """Differentiate the bound through the reparameterised draws; Kingma and Welling (2013), section 2.4."""

    draw = Draw.PATHWISE

    def forward(self, bound: Bound, terms: Terms) -> Tensor:
        return bound(terms.log_weights, terms.log_r)
