"""The uniform prior on the unit sphere."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor

from nelbo.core import Posterior, Space
from nelbo.distributions.sphere import SphereUniform
from nelbo.errors import ConfigError
from nelbo.priors.fixed import FixedPrior
from nelbo.registry import register


@register("prior/hypersphere")
@final
class HyperspherePrior(FixedPrior):
    """p(z) = Gamma(D / 2) / (2 pi^(D / 2)), uniform over the area of the unit sphere in D dimensions.

    The decoder reads z / |z|: a draw has length 1 already, a mean of draws has not.

    Parameters
    ----------
    dim
        D, the number of coordinates, 2 or more; the sphere itself has one dimension less.

    References
    ----------
    Davidson et al. (2018), Hyperspherical variational auto-encoders, arXiv:1804.00891, section 3.
    """

    space = Space.SPHERE

    def __init__(self, dim: int) -> None:
        if dim < 2:
            raise ConfigError(f"a sphere needs 2 coordinates or more, but {dim} was given; use e.g. --latent 10")
        super().__init__(dim)

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> SphereUniform:
        return SphereUniform(self.dim, self.like)

    def code(self, z: Tensor) -> Tensor:
        """Its direction, [..., D] -> [..., D]."""
        return F.normalize(z, dim=-1)
