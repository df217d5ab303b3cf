"""The Laplace prior of sparse codes."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from nelbo.core import Posterior, Prior
from nelbo.distributions.location_scale import DiagonalLaplace
from nelbo.errors import ConfigError
from nelbo.registry import register


@register("prior/laplace")
@final
class LaplacePrior(Prior):
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

    like: Tensor

    def __init__(self, dim: int, scale: float = 1.0) -> None:
        super().__init__()
        if dim < 1 or not scale > 0:
            raise ConfigError(
                f"a Laplace prior needs 1 dimension or more and a scale above 0, but {dim} and {scale} were given; "
                "use e.g. --latent 20 --prior laplace:scale=1"
            )
        self.dim = dim
        self.scale = scale
        self.register_buffer("like", torch.zeros(()), persistent=False)  # follows the module's device and type

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> DiagonalLaplace:
        zeros = self.like.expand(self.dim)
        return DiagonalLaplace(zeros, zeros + math.log(self.scale))
