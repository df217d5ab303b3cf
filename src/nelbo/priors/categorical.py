"""The uniform prior over groups of relaxed one-hot codes."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from nelbo.core import Posterior, Space
from nelbo.distributions.concrete import LogConcrete
from nelbo.distributions.groups import check_groups, check_temperature, grouped
from nelbo.priors.fixed import FixedPrior
from nelbo.priors.one_hot import OneHotPrior
from nelbo.registry import register


@register("prior/categorical")
@final
class CategoricalPrior(FixedPrior):
    r"""p(c) = n^-1 for each of G independent one-hot codes c of n categories, relaxed: Concrete(0, temperature).

    Latents are logarithms of codes, which the decoder reads as softmax(z) in each group. The model is the relaxed one:
    its bound is on the likelihood of a decoder that reads soft codes, not on that of discrete ones.

    Parameters
    ----------
    dim
        D = G n, the number of latent dimensions.
    groups
        G, which divides D; each group has 2 categories or more.
    temperature
        Above 0, of the prior; the posterior has its own.

    References
    ----------
    Maddison, Mnih and Teh (2017), The concrete distribution, arXiv:1611.00712, section 3.3 and appendix C.
    """

    space = Space.RELAXED

    def __init__(self, dim: int, groups: int = 1, temperature: float = 0.5) -> None:
        check_groups("a categorical prior", "--prior categorical", dim, groups)
        check_temperature("a categorical prior", "--prior categorical", temperature)
        super().__init__(dim)
        self.groups = groups
        self.temperature = temperature

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> LogConcrete:
        return LogConcrete(self.like.expand(self.groups, self.dim // self.groups), self.temperature)

    def code(self, z: Tensor) -> Tensor:
        """The relaxed codes, [..., D] -> [..., D]: softmax in each group, also of a mean of logarithms."""
        return torch.softmax(grouped(z, self.groups), -1).flatten(-2)

    def discrete(self) -> OneHotPrior:
        """The prior over one-hot codes."""
        return OneHotPrior(self.dim, self.groups)
