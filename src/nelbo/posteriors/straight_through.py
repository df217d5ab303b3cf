"""The categorical posterior with the straight-through Gumbel-softmax gradient."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from nelbo.core import Posterior, Space, full_precision
from nelbo.distributions.one_hot import StraightThroughOneHot
from nelbo.errors import ConfigError
from nelbo.networks.mlp import apply
from nelbo.posteriors.sizes import check_outputs
from nelbo.registry import register


@register("posterior/straight-through-categorical")
@final
class StraightThroughCategoricalPosterior(Posterior):
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

    def __init__(self, network: nn.Module, dim: int, groups: int = 1, temperature: float = 2 / 3) -> None:
        super().__init__()
        if groups < 1 or dim % groups or dim < 2 * groups or not temperature > 0:
            raise ConfigError(
                "a straight-through categorical posterior needs groups of equal size with 2 categories or more and a "
                f"temperature above 0, but {dim} latent dimensions, {groups} groups and {temperature} were given; use "
                "e.g. --latent 200 --posterior straight-through-categorical:groups=20"
            )
        check_outputs("a straight-through categorical posterior", network, dim, self.outputs(dim))
        self.network = network
        self.dim = dim
        self.groups = groups
        self.temperature = temperature

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> StraightThroughOneHot:
        logits = full_precision(apply(self.network, x, context))
        return StraightThroughOneHot(logits.view(*logits.shape[:-1], self.groups, -1), self.temperature)
