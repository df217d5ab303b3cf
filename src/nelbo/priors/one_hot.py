"""The uniform prior over groups of one-hot codes."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from nelbo.core import Posterior, Prior, Space
from nelbo.distributions.groups import check_groups
from nelbo.distributions.one_hot import StraightThroughOneHot
from nelbo.registry import register


@register("prior/one-hot")
@final
class OneHotPrior(Prior):
    r"""p(z) = n^-G: in each of G independent groups one of n one-hot codes, all as likely.

    A mass, not a density; `categorical` is its relaxation.

    Parameters
    ----------
    dim
        D = G n, the number of latent dimensions.
    groups
        G, which divides D; each group has 2 categories or more.

    References
    ----------
    Jang, Gu and Poole (2017), Categorical reparameterization with Gumbel-softmax, arXiv:1611.01144.
    """

    space = Space.ONE_HOT
    like: Tensor

    def __init__(self, dim: int, groups: int = 1) -> None:
        super().__init__()
        check_groups("a one-hot prior", "--prior one-hot", dim, groups)
        self.dim = dim
        self.groups = groups
        self.register_buffer("like", torch.zeros(()), persistent=False)  # follows the module's device and type

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> StraightThroughOneHot:
        return StraightThroughOneHot(self.like.expand(self.groups, self.dim // self.groups), temperature=1.0)
