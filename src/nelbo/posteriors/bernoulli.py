"""Posteriors over independent binary latents: 0 and 1, for score functions, or relaxed (binary Concrete) ones."""

from __future__ import annotations

import math
from typing import final

from torch import Tensor, nn

from nelbo.core import Space
from nelbo.distributions.binary_codes import BernoulliCodes
from nelbo.distributions.groups import check_temperature
from nelbo.distributions.location_scale import DiagonalLogistic
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


@register("posterior/bernoulli")
@final
class BernoulliPosterior(Amortised):
    r"""q(z given x) = prod_d Bernoulli(z_d; sigmoid(l_d(x))): D independent latents that are 0 or 1.

    Draws have no gradient, so that the objective needs a score function: gradient=vimco, nvil, reinforce-average or
    reinforce. The KL to the prior `bernoulli` has a closed form.

    Parameters
    ----------
    network
        Emits [N, D]: the log-odds l_d.
    dim
        D, the number of latent dimensions.

    References
    ----------
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks, arXiv:1402.0030.
    """

    space = Space.BINARY
    is_reparameterised = False
    can_stop = False

    def __init__(self, network: nn.Module, dim: int) -> None:
        super().__init__("a Bernoulli posterior", network, dim, self.outputs(dim))

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> BernoulliCodes:
        return BernoulliCodes(self.emit(x, context))


@register("posterior/relaxed-bernoulli")
@final
class RelaxedBernoulliPosterior(Amortised):
    r"""q(z given x): in each dimension (l_d(x) + e) / t, e standard logistic, at temperature t.

    z are log-odds of relaxed binary codes, above 0 with probability sigmoid(l_d) at any temperature. The KL is that of
    the relaxed densities, by Monte Carlo, so that the bound is one on the likelihood of the relaxed model; `discrete`
    gives the posterior of the binary one.

    Parameters
    ----------
    network
        Emits [N, D]: the log-odds l_d.
    dim
        D, the number of latent dimensions.
    temperature
        t, above 0; the lower, the nearer the codes are to 0 and 1 and the wilder the gradients.

    References
    ----------
    Maddison, Mnih and Teh (2017), The concrete distribution, arXiv:1611.00712, section 3.3 and appendix B; Jang, Gu
    and Poole (2017), arXiv:1611.01144.
    """

    space = Space.RELAXED_BINARY

    def __init__(self, network: nn.Module, dim: int, temperature: float = 2 / 3) -> None:
        what = "a relaxed Bernoulli posterior"
        check_temperature(what, "--posterior relaxed-bernoulli", temperature)
        super().__init__(what, network, dim, self.outputs(dim))
        self.temperature = temperature

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> DiagonalLogistic:
        loc = self.emit(x, context) / self.temperature
        return DiagonalLogistic(loc, loc.new_full((), -math.log(self.temperature)).expand_as(loc))

    def discrete(self) -> BernoulliPosterior:
        """The posterior over binary codes with the same log-odds, whose network it shares."""
        return BernoulliPosterior(self.network, self.dim)
