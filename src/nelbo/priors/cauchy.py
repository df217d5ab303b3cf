"""The Cauchy prior, with tails that a Cauchy posterior needs."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from nelbo.core import Posterior
from nelbo.distributions.location_scale import DiagonalCauchy
from nelbo.errors import ConfigError
from nelbo.priors.fixed import FixedPrior
from nelbo.registry import register


@register("prior/cauchy")
@final
class CauchyPrior(FixedPrior):
    """p(z) = prod_d s / (pi (s^2 + z_d^2)): independent latents, a few of them far out.

    The decoder reads asinh(z / s), which is z / s near 0 and a logarithm far out. Neither -log p(z) nor what the
    decoder reads then grows faster than log |z|, so that the bound is finite for a Cauchy posterior too, whose KL to
    this prior has a closed form; latents and KL are those of z. Under the prior asinh(z / s) has the hyperbolic secant
    law.

    Parameters
    ----------
    dim
        Number of latent dimensions.
    scale
        s, above 0: half of the mass of each latent is within it.

    References
    ----------
    Chyzak and Nielsen (2019), A closed-form formula for the Kullback-Leibler divergence between Cauchy distributions,
    arXiv:1905.10965.
    """

    needs_variance = False

    def __init__(self, dim: int, scale: float = 1.0) -> None:
        if dim < 1 or not scale > 0:
            raise ConfigError(
                f"a Cauchy prior needs 1 dimension or more and a scale above 0, but {dim} and {scale} were given; "
                "use e.g. --latent 20 --prior cauchy:scale=1"
            )
        super().__init__(dim)
        self.scale = scale

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> DiagonalCauchy:
        return DiagonalCauchy(self.zeros, self.zeros + math.log(self.scale))

    def code(self, z: Tensor) -> Tensor:
        """asinh(z / s), [..., D] -> [..., D]."""
        return torch.asinh(z / self.scale)
