"""The vocabulary: what a batch, a part, a model and an objective are.

A latent-variable model is *parts* (`Prior`, `Posterior`, `Likelihood`); a `Model` puts parts together, says what it
can, and emits `Terms`; an `Objective` reduces `Terms` to a `Loss`. Everything is in nats per datum, summed over
dimensions.

Shapes: K importance samples (or Monte Carlo draws), B data, D latent dimensions, C context features.
"""

from nelbo.core.batch import Batch, sum_cells
from nelbo.core.model import Abilities, FreePosterior, Group, LikelihoodModel, Model, Sides
from nelbo.core.objective import Bound, Gradient, Objective, Phase, SinglePhase, Solver
from nelbo.core.parts import Likelihood, Posterior, Prior, Space
from nelbo.core.terms import Draw, Loss, Terms

__all__ = [
    "Abilities",
    "Batch",
    "Bound",
    "Draw",
    "FreePosterior",
    "Gradient",
    "Group",
    "Likelihood",
    "LikelihoodModel",
    "Loss",
    "Model",
    "Objective",
    "Phase",
    "Posterior",
    "Prior",
    "Sides",
    "SinglePhase",
    "Solver",
    "Space",
    "Terms",
    "sum_cells",
]
