"""The variational mixture of posteriors (VampPrior)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from nelbo.core import Posterior, Prior
from nelbo.distributions.mixture import NormalMixture
from nelbo.distributions.normal import DiagonalNormal
from nelbo.errors import CompositionError, ConfigError
from nelbo.registry import register


@register("prior/vamp")
@final
class VampPrior(Prior):
    r"""p(z) = 1/C sum_c q(z given u_c): the posterior itself, averaged over C learned pseudo-inputs u_c.

    It is the prior that maximises the bound, the aggregate posterior 1/N sum_n q(z given x_n), with few learned
    inputs in the place of the N data. The posterior comes as an argument at each call; no weight of it is held here,
    so that gradients reach it through the prior as well.

    Parameters
    ----------
    dim
        Number of latent dimensions.
    shape
        Shape of what the posterior reads.
    components
        C.
    bounded
        Whether the posterior reads values from 0 to 1: pseudo-inputs are then clamped there (the paper's hard tanh).
    start, spread
        Mean and standard deviation of the initial pseudo-inputs, in the units that the posterior reads.

    Raises
    ------
    CompositionError
        When called without a posterior, or with one that needs context.

    References
    ----------
    Tomczak and Welling (2018), VAE with a VampPrior, arXiv:1705.07120, eq. 9.
    """

    takes_context: ClassVar[bool] = False

    def __init__(
        self,
        dim: int,
        shape: Sequence[int],
        components: int = 500,
        bounded: bool = True,
        start: float = 0.05,
        spread: float = 0.01,
    ) -> None:
        super().__init__()
        if dim < 1 or components < 1 or not spread > 0:
            raise ConfigError(
                "a VampPrior needs 1 dimension, 1 component and a spread above 0, or more, but "
                f"{dim}, {components} and {spread} were given; use e.g. --latent 40 --prior vamp:components=500"
            )
        self.dim = dim
        self.components = components
        self.bounded = bounded
        self.raw_inputs = nn.Parameter(start + spread * torch.randn(components, *shape))

    @property
    def pseudo_inputs(self) -> Tensor:
        """u, [C, *shape], as the posterior reads them."""
        return self.raw_inputs.clamp(0.0, 1.0) if self.bounded else self.raw_inputs

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> Distribution:
        if posterior is None:
            raise CompositionError("a VampPrior is made of the posterior; call it as prior(context, posterior)")
        if context is not None:
            raise CompositionError(
                "a VampPrior has no pseudo-inputs for a context; use --prior mixture, or leave the context out"
            )
        q = posterior(self.pseudo_inputs)
        if isinstance(q, DiagonalNormal):
            equal = q.loc.new_full((self.components,), -math.log(self.components))
            return NormalMixture(equal, q.loc, q.log_variance)
        equal = self.raw_inputs.new_zeros(self.components)
        return MixtureSameFamily(Categorical(logits=equal, validate_args=False), q, validate_args=False)
