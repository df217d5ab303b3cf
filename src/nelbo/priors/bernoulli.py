"""Priors of independent binary latents: 0 and 1, or relaxed (binary Concrete) ones."""

from __future__ import annotations

import math
from abc import ABC
from typing import final

import torch
from torch import Tensor, nn

from nelbo.core import Posterior, Prior, Space
from nelbo.distributions.binary_codes import BernoulliCodes
from nelbo.distributions.groups import check_temperature
from nelbo.distributions.location_scale import DiagonalLogistic
from nelbo.errors import ConfigError
from nelbo.registry import register


class BinaryPrior(Prior, ABC):
    """D independent binary latents by their log-odds `logits` [D]: parameters where learned, else constants.

    Parameters
    ----------
    what, flag
        Who refuses, and how it is written: "a Bernoulli prior", "--prior bernoulli".
    dim
        D.
    probability
        Of a 1, above 0 and below 1; where the log-odds are learned, what they start from.
    learned
        Whether they are.

    Raises
    ------
    ConfigError
        If there are no latents, or the probability is not between 0 and 1.
    """

    logits: Tensor

    def __init__(self, what: str, flag: str, dim: int, probability: float, learned: bool) -> None:
        super().__init__()
        if dim < 1 or not 0 < probability < 1:
            raise ConfigError(
                f"{what} needs 1 dimension or more and a probability above 0 and below 1, but {dim} and {probability} "
                f"were given; use e.g. --latent 200 {flag}:probability=0.5"
            )
        self.dim = dim
        self.probability = probability
        self.learned = learned
        logits = torch.full((dim,), probability).logit()
        if learned:
            self.logits = nn.Parameter(logits)
        else:
            self.register_buffer("logits", logits, persistent=False)


@register("prior/bernoulli")
@final
class BernoulliPrior(BinaryPrior):
    r"""p(z) = prod_d p_d^z_d (1 - p_d)^(1 - z_d): D independent latents that are 0 or 1.

    A mass, not a density; `relaxed-bernoulli` is its relaxation.

    Parameters
    ----------
    dim
        D, the number of latent dimensions.
    probability
        p_d, above 0 and below 1; where they are learned, what they start from.
    learned
        Whether every p_d is a parameter, by its log-odds.

    References
    ----------
    Mnih and Gregor (2014), Neural variational inference and learning in belief networks, arXiv:1402.0030.
    """

    space = Space.BINARY

    def __init__(self, dim: int, probability: float = 0.5, learned: bool = False) -> None:
        super().__init__("a Bernoulli prior", "--prior bernoulli", dim, probability, learned)

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> BernoulliCodes:
        return BernoulliCodes(self.logits)


@register("prior/relaxed-bernoulli")
@final
class RelaxedBernoulliPrior(BinaryPrior):
    r"""p(z) = prod_d Logistic(z_d; l_d / t, 1 / t): binary latents with log-odds l_d, relaxed at temperature t.

    Latents are log-odds of relaxed codes, which the decoder reads as sigmoid(z): BinConcrete(exp(l_d), t). The model is
    the relaxed one: its bound is on the likelihood of a decoder that reads soft codes, not on that of binary ones, for
    which there is `discrete`.

    Parameters
    ----------
    dim
        D, the number of latent dimensions.
    probability
        sigmoid(l_d), that of a code above 1/2, above 0 and below 1; where they are learned, what they start from.
    learned
        Whether every l_d is a parameter.
    temperature
        t, above 0, of the prior; the posterior has its own.

    References
    ----------
    Maddison, Mnih and Teh (2017), The concrete distribution, arXiv:1611.00712, section 3.3 and appendix B.
    """

    space = Space.RELAXED_BINARY

    def __init__(self, dim: int, probability: float = 0.5, learned: bool = False, temperature: float = 0.5) -> None:
        what, flag = "a relaxed Bernoulli prior", "--prior relaxed-bernoulli"
        check_temperature(what, flag, temperature)
        super().__init__(what, flag, dim, probability, learned)
        self.temperature = temperature

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> DiagonalLogistic:
        log_scale = self.logits.new_full((self.dim,), -math.log(self.temperature))
        return DiagonalLogistic(self.logits / self.temperature, log_scale)

    def code(self, z: Tensor) -> Tensor:
        """The relaxed codes, [..., D] -> [..., D]: sigmoid, also of a mean of log-odds."""
        return torch.sigmoid(z)

    def discrete(self) -> BernoulliPrior:
        """The prior over binary codes with the same log-odds, which it shares."""
        prior = BernoulliPrior(self.dim, self.probability, self.learned)
        prior.logits = self.logits
        return prior
