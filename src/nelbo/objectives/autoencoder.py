"""The reconstruction objective of an autoencoder."""

from __future__ import annotations

from typing import final

from nelbo.core import Batch, Loss, Model, SinglePhase
from nelbo.errors import CompositionError, ConfigError
from nelbo.registry import register


@register("objective/autoencoder")
@final
class Autoencoder(SinglePhase):
    r"""loss = -log p(x given z) - weight log p(z) at the code z = f(x); no bound.

    With `weight` = 0 it is the classical autoencoder, whose squared error is a Gaussian likelihood; with `weight` = 1
    the code is the maximum a posteriori one of an amortised point estimate.

    Parameters
    ----------
    model
        With a point posterior (`--posterior delta`).
    weight
        Of the prior, which holds the codes together.

    Raises
    ------
    CompositionError
        If the posterior has a density: without its entropy that would be no bound, with it the ELBO is the objective.

    References
    ----------
    Hinton and Salakhutdinov (2006), Reducing the dimensionality of data with neural networks.
    """

    def __init__(self, model: Model, weight: float = 0.0) -> None:
        super().__init__()
        if model.abilities.density:
            raise CompositionError(
                "the autoencoder objective takes a point posterior; give --posterior delta, or --objective elbo"
            )
        if not weight >= 0:
            raise ConfigError(f"the weight of the prior must be 0 or more, but {weight} was given")
        self.model = model
        self.weight = weight

    def forward(self, batch: Batch) -> Loss:
        terms = self.model.terms(batch)
        parts = {"likelihood": -terms.mean(terms.log_px)}
        if self.weight and terms.log_pz is not None:
            parts["prior"] = -self.weight * terms.mean(terms.log_pz)
        return terms.loss(parts, None)
