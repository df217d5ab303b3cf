"""Posteriors over groups of categories: relaxed (Gumbel-softmax, Concrete) codes, or one-hot codes straight through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.core import Space
from nelbo.distributions.concrete import LogConcrete
from nelbo.distributions.groups import check_groups, check_temperature, grouped
from nelbo.distributions.one_hot import StraightThroughOneHot
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


class CategoricalPosterior(Amortised, ABC):
    """q(z given x) by the logits of G groups of n categories, and the temperature of their relaxation.

    Parameters
    ----------
    network
        Emits [N, D]: the logits, group by group.
    dim
        D, the number of groups times that of categories.
    groups
        G, which divides D, as many as the prior has.
    temperature
        Above 0.
    """

    def __init__(self, network: nn.Module, dim: int, groups: int = 1, temperature: float = 2 / 3) -> None:
        what, flag = f"a {self.family} posterior", f"--posterior {self.family.replace(' ', '-')}"
        check_groups(what, flag, dim, groups)
        check_temperature(what, flag, temperature)
        super().__init__(what, network, dim, self.outputs(dim))
        self.groups = groups
        self.temperature = temperature

    @property
    @abstractmethod
    def family(self) -> str:
        """Its name in a sentence."""

    @abstractmethod
    def law(self, logits: Tensor) -> Distribution:
        """The distribution of these logits, [N, G, n]."""

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution:
        return self.law(grouped(self.emit(x, context), self.groups))


@register("posterior/relaxed-categorical")
@final
class RelaxedCategoricalPosterior(CategoricalPosterior):
    r"""q(z given x): in each of G groups, log_softmax((logits(x) + g) / temperature) with Gumbel noise g.

    z are logarithms of relaxed one-hot codes. The KL is that of the relaxed densities, by Monte Carlo, so that the
    bound is one on the likelihood of the relaxed model. (With the KL of the discrete distributions in its place the
    sum would be a bound on no likelihood; it is not offered.)

    Parameters
    ----------
    network
        Emits [N, D]: the logits, group by group.
    dim
        D, the number of groups times that of categories.
    groups
        G, which divides D, as many as the prior has.
    temperature
        Above 0; the lower, the nearer the codes are to one-hot and the wilder the gradients.

    References
    ----------
    Maddison, Mnih and Teh (2017), The concrete distribution, arXiv:1611.00712, section 3 and appendix C; Jang, Gu and
    Poole (2017), arXiv:1611.01144.
    """

    space = Space.RELAXED
    family = "relaxed categorical"

    def law(self, logits: Tensor) -> LogConcrete:
        return LogConcrete(logits, self.temperature)

    def discrete(self) -> StraightThroughCategoricalPosterior:
        """The posterior over one-hot codes with the same logits, whose network it shares."""
        return StraightThroughCategoricalPosterior(self.network, self.dim, self.groups, self.temperature)


@register("posterior/straight-through-categorical")
@final
class StraightThroughCategoricalPosterior(CategoricalPosterior):
    r"""q(z given x): in each of G groups one-hot, with probabilities softmax(logits(x)); gradients of the relaxation.

    Draws are exact, so that the model is the discrete one: log q is a mass, the KL to the prior `one-hot` has a closed
    form, the bound is one on the likelihood of a decoder that reads one-hot codes, and importance sampling is
    legitimate. What is not exact is the gradient through a draw: it is that of softmax((logits + g) / temperature), a
    biased one. (`relaxed-categorical` has an unbiased gradient, of another model.)

    Parameters
    ----------
    network
        Emits [N, D]: the logits, group by group.
    dim
        D, the number of groups times that of categories.
    groups
        G, which divides D, as many as the prior has.
    temperature
        Above 0, of the gradient alone; the lower, the smaller its bias and the larger its variance.

    References
    ----------
    Jang, Gu and Poole (2017), Categorical reparameterization with Gumbel-softmax, arXiv:1611.01144, section 2.2; the
    straight-through idea: Bengio, Leonard and Courville (2013), arXiv:1308.3432.
    """

    space = Space.ONE_HOT
    family = "straight-through categorical"

    def law(self, logits: Tensor) -> StraightThroughOneHot:
        return StraightThroughOneHot(logits, self.temperature)
