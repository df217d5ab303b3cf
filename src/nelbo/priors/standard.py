"""The standard normal prior."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from nelbo.core import Posterior, Prior
from nelbo.distributions.normal import StandardNormal
from nelbo.errors import ConfigError
from nelbo.registry import register


@register("prior/standard")
@final
class StandardNormalPrior(Prior):
    """p(z) = N(0, I) over `dim` latent dimensions; Kingma and Welling (2013), section 3."""

    like: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim < 1:
            raise ConfigError(
                f"a latent space needs 1 dimension or more, but {dim} was asked for; use e.g. --latent 20"
            )
        self.dim = dim
        self.register_buffer("like", torch.zeros(()), persistent=False)  # follows the module's device and type

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> StandardNormal:
        return StandardNormal(self.dim, self.like)
