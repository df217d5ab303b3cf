"""A model of the user's own with two groups of latents, the second drawn given the first."""

from typing import Any, final

from torch import Tensor, nn

from nelbo.core import Abilities, Batch, Draw, Group, Likelihood, LikelihoodModel, Sides, Space, Terms
from nelbo.data import DataSpec
from nelbo.distributions import Chain, DiagonalNormal, StandardNormal
from nelbo.models import drawn_terms
from nelbo.networks import Linear, apply, apply_folded
from nelbo.recipes import encoder_of, likelihood_of, objective_of, reading_of, recipe
from nelbo.registry import register
from nelbo.settings import Settings


@register("model/two-layers")
@final
class TwoLayers(LikelihoodModel):
    """p(a) p(b given a) p(x given a, b) with q(a given x) q(b given x, a)."""

    abilities = Abilities(density=True, reparameterised=True, variance=True, stoppable=False)

    def __init__(self, network: nn.Module, likelihood: Likelihood, dim: int, reading: nn.Module | None = None) -> None:
        super().__init__({"a": Group(slice(0, 1), Space.REAL), "b": Group(slice(1, dim), Space.REAL)})
        self.likelihood, self.features, self.reading = likelihood, network, reading or nn.Identity()
        self.top, self.bottom = Linear(dim, 2), Linear(dim, 2 * dim - 2, context=1)
        self.generator = Linear(1, 2 * dim - 2)

    def sides(self) -> Sides:
        return Sides((self.generator,), (self.likelihood,), (self.features, self.top, self.bottom))

    def prior_of(self, context: Tensor | None = None) -> Chain:
        first = StandardNormal(1, self.generator.layer.bias)
        return Chain(first, lambda a: normal(apply_folded(self.generator, a)), self.latent - 1)

    def encode(self, batch: Batch) -> Chain:
        h = apply(self.features, self.reading(batch.inputs), batch.context)
        return Chain(normal(self.top(h)), lambda a: normal(apply_folded(self.bottom, h, a)), self.latent - 1)

    def point(self, batch: Batch) -> Tensor:
        return self.encode(batch).top_down

    def terms(self, batch: Batch, samples: int = 1, draw: Draw = Draw.PATHWISE, analytic: bool = False) -> Terms:
        return drawn_terms(self, batch, samples, draw)


def normal(features: Tensor) -> DiagonalNormal:
    return DiagonalNormal(*features.chunk(2, -1))


@recipe("two-layers", "kingma2014")
def two_layers(data: DataSpec, settings: Settings) -> dict[str, Any]:
    """Two layers of latents, the second drawn given the first."""
    parts = {"network": encoder_of(data, settings, settings.latent), "likelihood": likelihood_of(data, settings)}
    model = {"part": "model/two-layers", **parts, "dim": settings.latent, **reading_of(data)}
    return objective_of(data, settings, model)
