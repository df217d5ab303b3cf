"""The standard normal prior."""

from __future__ import annotations

from typing import final

from torch import Tensor

from nelbo.core import Posterior
from nelbo.distributions.normal import StandardNormal
from nelbo.errors import ConfigError
from nelbo.priors.fixed import FixedPrior
from nelbo.registry import register


@register("prior/standard")
@final
class StandardNormalPrior(FixedPrior):
    """p(z) = N(0, I) over `dim` latent dimensions; Kingma and Welling (2013), section 3."""

    def __init__(self, dim: int) -> None:
        if dim < 1:
            raise ConfigError(
                f"a latent space needs 1 dimension or more, but {dim} was asked for; use e.g. --latent 20"
            )
        super().__init__(dim)

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> StandardNormal:
        return StandardNormal(self.dim, self.like)
