"""The Laplace prior of sparse codes."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor

from nelbo.core import Posterior
from nelbo.distributions.location_scale import DiagonalLaplace
from nelbo.errors import ConfigError
from nelbo.priors.fixed import FixedPrior
from nelbo.registry import register


@register("prior/laplace")
@final
class LaplacePrior(FixedPrior):
    """p(z) = prod_d exp(-abs(z_d) / s) / (2 s): independent latents with heavy tails and a peak at 0.

    Parameters
    ----------
    dim
        Number of latent dimensions.
    scale
        s, above 0; the variance is 2 s^2.

    References
    ----------
    Olshausen and Field (1997), Sparse coding with an overcomplete basis set, section 2; in a VAE: Barello, Charles
    and Pillow (2018), Sparse-coding variational auto-encoders.
    """

    def __init__(self, dim: int, scale: float = 1.0) -> None:
        if dim < 1 or not scale > 0:
            raise ConfigError(
                f"a Laplace prior needs 1 dimension or more and a scale above 0, but {dim} and {scale} were given; "
                "use e.g. --latent 20 --prior laplace:scale=1"
            )
        super().__init__(dim)
        self.scale = scale

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> DiagonalLaplace:
        return DiagonalLaplace(self.zeros, self.zeros + math.log(self.scale))
