"""The symmetric Dirichlet prior on the simplex."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor

from nelbo.core import Posterior, Space
from nelbo.distributions.simplex import Dirichlet
from nelbo.errors import ConfigError
from nelbo.priors.fixed import FixedPrior
from nelbo.registry import register


@register("prior/dirichlet")
@final
class DirichletPrior(FixedPrior):
    r"""p(z) = Gamma(D a) prod_d z_d^(a - 1) / Gamma(a)^D on D coordinates above 0 that sum to 1.

    Lebesgue density over the first D - 1 coordinates, as that of every posterior over the simplex here.

    Parameters
    ----------
    dim
        D, the number of coordinates, 2 or more; the simplex itself has one dimension less.
    concentration
        a, above 0: 1 is uniform, below it few coordinates matter at a time.

    References
    ----------
    Joo et al. (2020), Dirichlet variational autoencoder, arXiv:1901.02739.
    """

    space = Space.SIMPLEX

    def __init__(self, dim: int, concentration: float = 1.0) -> None:
        if dim < 2 or not concentration > 0:
            raise ConfigError(
                f"a Dirichlet prior needs 2 coordinates or more, since they sum to 1, and a concentration above 0, but "
                f"{dim} and {concentration} were given; use e.g. --latent 10 --prior dirichlet:concentration=1"
            )
        super().__init__(dim)
        self.concentration = concentration

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> Dirichlet:
        return Dirichlet(self.zeros + math.log(self.concentration))
