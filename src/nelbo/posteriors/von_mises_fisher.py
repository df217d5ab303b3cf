"""The von Mises-Fisher posterior over unit vectors."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.core import Space
from nelbo.distributions.sphere import VonMisesFisher
from nelbo.errors import ConfigError
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


@register("posterior/von-mises-fisher")
@final
class VonMisesFisherPosterior(Amortised):
    r"""q(z given x) proportional to exp(kappa(x) mu(x)' z) on the unit sphere in D dimensions.

    Parameters
    ----------
    network
        Emits [N, D + 1]: mu before it is scaled to length 1, then raw kappa, kappa = D softplus(raw). The paper takes
        softplus(raw) + 1; but E[mu' z] is nearly kappa / D for a small kappa, so that D is the unit in which it acts.
    dim
        D, the number of coordinates, 2 or more; the sphere itself has one dimension less.

    References
    ----------
    Davidson et al. (2018), Hyperspherical variational auto-encoders, arXiv:1804.00891, section 3.
    """

    space = Space.SPHERE

    def __init__(self, network: nn.Module, dim: int) -> None:
        if dim < 2:
            raise ConfigError(
                f"a von Mises-Fisher posterior needs 2 coordinates or more, but {dim} was given; use e.g. --latent 10"
            )
        super().__init__("a von Mises-Fisher posterior", network, dim, self.outputs(dim))

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim + 1

    def forward(self, x: Tensor, context: Tensor | None = None) -> VonMisesFisher:
        features = self.emit(x, context)
        return VonMisesFisher(F.normalize(features[..., :-1], dim=-1), self.dim * F.softplus(features[..., -1]))
