"""A model that a solver fits, and the bound that it is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from nelbo.core import Model, Objective, Phase, Solver
from nelbo.objectives.elbo import ELBO
from nelbo.registry import register


@register("objective/solved")
@final
class Solved(Objective):
    """A solver in place of gradient steps; the figures of training and validation are those of the ELBO.

    Parameters
    ----------
    model
        What is fitted.
    solver
        Sets its weights from all training rows.
    """

    def __init__(self, model: Model, solver: Solver) -> None:
        super().__init__()
        self.judge = ELBO(model)
        self.solver = solver
        self.knows(model)

    @property
    def phases(self) -> Sequence[Phase]:
        return (self.judge,)

    @property
    def validated(self) -> Phase:
        return self.judge
