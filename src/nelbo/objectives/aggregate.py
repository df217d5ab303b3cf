"""Fitting a prior to the codes of a model that stays as it is."""

from __future__ import annotations

from typing import Self, final

import torch
from torch import Tensor

from nelbo.core import Batch, Loss, Model, SinglePhase
from nelbo.errors import CompositionError
from nelbo.registry import register


@register("objective/aggregate")
@final
class AggregatePosterior(SinglePhase):
    r"""loss = -E_x E_{q(z given x)} log p(z): maximum likelihood of p on the codes, 1/N sum_n q(z given x_n).

    With encoder and decoder fixed that is all of the bound which depends on the prior: a nat gained here is a nat of
    the bound. It is least where p is the aggregate posterior (Hoffman and Johnson (2016), ELBO surgery, section 1). z
    is drawn afresh at every look.

    Parameters
    ----------
    model
        Its prior is fitted, and nothing else of it; the rest stays in evaluation mode.

    Raises
    ------
    CompositionError
        If its prior has nothing to learn.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        sides = model.sides()
        if not sides.prior_learns:
            raise CompositionError("the prior of this model has nothing to fit; give one that learns")
        self.model = model
        self._prior = tuple(sides.prior)  # in a tuple they are no submodules a second time
        for module in (*sides.recognition, *sides.likelihood):
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        """The prior alone changes its mode: encoder and decoder are what they are."""
        super().train(False)
        for module in self._prior:
            module.train(mode)
        return self

    def forward(self, batch: Batch) -> Loss:
        with torch.no_grad():
            z: Tensor = self.model.encode(batch).sample()
        surprise = -self.model.prior_of(batch.context).log_prob(z)
        return Loss(surprise.mean(), None, {"prior": surprise})
