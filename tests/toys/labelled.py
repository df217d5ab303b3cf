"""A model of the user's own with a label beside a real latent: the label is enumerated, not drawn."""

import math
from typing import Any, final

import torch
from torch import Tensor, nn

from nelbo.core import Abilities, Batch, Draw, Group, Likelihood, LikelihoodModel, Sides, Space, Terms
from nelbo.data import DataSpec
from nelbo.distributions import Chain, DiagonalNormal, StandardNormal, rsample_with_log_prob
from nelbo.distributions.one_hot import StraightThroughOneHot
from nelbo.networks import Linear, apply, apply_folded
from nelbo.recipes import encoder_of, likelihood_of, objective_of, reading_of, recipe
from nelbo.registry import register
from nelbo.settings import Settings

C = 3  # classes


@register("model/labelled")
@final
class Labelled(LikelihoodModel):
    """p(y) p(z) p(x given y, z) with q(y given x) q(z given x, y), y one of three."""

    abilities = Abilities(density=True, reparameterised=True, variance=True, stoppable=False, weighs_draws=True)

    def __init__(self, network: nn.Module, likelihood: Likelihood, dim: int, reading: nn.Module | None = None) -> None:
        super().__init__({"y": Group(slice(0, C), Space.ONE_HOT), "z": Group(slice(C, C + dim), Space.REAL)})
        self.likelihood, self.features, self.reading = likelihood, network, reading or nn.Identity()
        self.classify, self.place, self.logits = Linear(8, C), Linear(8, 2 * dim, C), nn.Linear(1, C, bias=False)

    def sides(self) -> Sides:
        return Sides((self.logits,), (self.likelihood,), (self.features, self.classify, self.place))

    def prior_of(self, context: Tensor | None = None) -> Chain:
        y, z = StraightThroughOneHot(self.logits.weight.T, 1.0), StandardNormal(self.latent - C, self.logits.weight)
        return Chain(y, lambda y: z.expand(y.shape[:-1]), self.latent - C)

    def encode(self, batch: Batch) -> Chain:
        h = apply(self.features, self.reading(batch.inputs), batch.context)
        first = StraightThroughOneHot(self.classify(h).unsqueeze(-2), 1.0)
        return Chain(first, lambda y: DiagonalNormal(*apply_folded(self.place, h, y).chunk(2, -1)), self.latent - C)

    def terms(self, batch: Batch, samples: int = 1, draw: Draw = Draw.PATHWISE, analytic: bool = False) -> Terms:
        q, p = self.encode(batch), self.prior_of(batch.context)
        y = torch.eye(C).unsqueeze(1).expand(C, len(batch), C).to(batch.x)  # [C, B, C]
        z, log_qz = rsample_with_log_prob(q.then(y), samples, draw)  # [S, C, B, D]
        both = torch.cat([y.expand(samples, *y.shape), z], -1).flatten(0, 1)
        log_qy = q.first.log_prob(y).expand(samples, -1, -1).flatten(0, 1)
        log_px, log_pz, log_r = self.log_px(both, batch), p.log_prob(both), log_qy - math.log(samples)
        return Terms(both, log_px, q, log_pz, log_qz.flatten(0, 1), log_r=log_r, log_qy=log_qy, p=p)


@recipe("labelled", "kingma2014")
def labelled(data: DataSpec, settings: Settings) -> dict[str, Any]:
    """An enumerated label beside a real latent."""
    parts = {"network": encoder_of(data, settings, 8), "likelihood": likelihood_of(data, settings, settings.latent + C)}
    return objective_of(data, settings, {"part": "model/labelled", "dim": settings.latent, **reading_of(data), **parts})
