"""The gamma prior of positive latents."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor

from nelbo.core import Posterior, Space
from nelbo.distributions.positive import DiagonalGamma
from nelbo.errors import ConfigError
from nelbo.priors.fixed import FixedPrior
from nelbo.registry import register


@register("prior/gamma")
@final
class GammaPrior(FixedPrior):
    """p(z) = prod_d r^k z_d^(k-1) exp(-r z_d) / Gamma(k) on z_d > 0; with k = 1 the exponential.

    The KL of every posterior over positive vectors here to it has a closed form.

    Parameters
    ----------
    dim
        Number of latent dimensions.
    concentration
        k (the shape), above 0; below 1 most latents are next to nothing, and the density is infinite at 0.
    rate
        r, above 0; the mean is k / r, the variance k / r^2.

    References
    ----------
    Ranganath et al. (2015), Deep exponential families, arXiv:1411.2581 (sparse for k below 1).
    """

    space = Space.POSITIVE

    def __init__(self, dim: int, concentration: float = 1.0, rate: float = 1.0) -> None:
        if dim < 1 or not concentration > 0 or not rate > 0:
            raise ConfigError(
                f"a gamma prior needs 1 dimension or more and a concentration and a rate above 0, but "
                f"{dim}, {concentration} and {rate} were given; use e.g. --latent 20 --prior "
                "gamma:concentration=1,rate=1"
            )
        super().__init__(dim)
        self.concentration = concentration
        self.rate = rate

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> DiagonalGamma:
        return DiagonalGamma(
            self.zeros + math.log(self.concentration / self.rate), self.zeros + math.log(self.concentration)
        )
