"""The relaxed categorical (Gumbel-softmax, Concrete) posterior."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from nelbo.core import Posterior, Space, full_precision
from nelbo.distributions.concrete import LogConcrete
from nelbo.errors import ConfigError
from nelbo.networks.mlp import apply
from nelbo.posteriors.sizes import check_outputs
from nelbo.registry import register


@register("posterior/relaxed-categorical")
@final
class RelaxedCategoricalPosterior(Posterior):
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

    def __init__(self, network: nn.Module, dim: int, groups: int = 1, temperature: float = 2 / 3) -> None:
        super().__init__()
        if groups < 1 or dim % groups or dim < 2 * groups or not temperature > 0:
            raise ConfigError(
                "a relaxed categorical posterior needs groups of equal size with 2 categories or more and a "
                f"temperature above 0, but {dim} latent dimensions, {groups} groups and {temperature} were given; use "
                "e.g. --latent 200 --posterior relaxed-categorical:groups=20"
            )
        check_outputs("a relaxed categorical posterior", network, dim, self.outputs(dim))
        self.network = network
        self.dim = dim
        self.groups = groups
        self.temperature = temperature

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> LogConcrete:
        logits = full_precision(apply(self.network, x, context))
        return LogConcrete(logits.view(*logits.shape[:-1], self.groups, -1), self.temperature)
