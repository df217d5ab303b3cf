"""The uniform prior over groups of one-hot codes."""

from __future__ import annotations

from typing import final

from torch import Tensor

from nelbo.core import Posterior, Space
from nelbo.distributions.groups import check_groups
from nelbo.distributions.one_hot import StraightThroughOneHot
from nelbo.priors.fixed import FixedPrior
from nelbo.registry import register


@register("prior/one-hot")
@final
class OneHotPrior(FixedPrior):
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

    def __init__(self, dim: int, groups: int = 1) -> None:
        check_groups("a one-hot prior", "--prior one-hot", dim, groups)
        super().__init__(dim)
        self.groups = groups

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> StraightThroughOneHot:
        return StraightThroughOneHot(self.like.expand(self.groups, self.dim // self.groups), temperature=1.0)
