"""What stands beside the likelihood in the loss of an ELBO: the weighted KL, and other ways for it to enter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, final

import torch
from torch import Tensor, nn

from nelbo.core import Draw, Model, Terms
from nelbo.errors import CompositionError, ConfigError
from nelbo.registry import register

Weighted = tuple[Tensor | float, Tensor]  # a weight, and the value it multiplies


class Regulariser(nn.Module, ABC):
    """What an ELBO's loss adds to -E_q[log p(x given z)]; the bound that is reported stays that at beta = 1."""

    draws: ClassVar[frozenset[Draw]] = frozenset({Draw.PATHWISE})  # of the gradients that suit it
    reads_densities: ClassVar[bool] = False  # log q and log p of the draws, and so no closed form of the KL
    own_beta: ClassVar[bool] = False  # whether its `beta` is another weight than that of the KL
    may_be_constant: ClassVar[frozenset[str]] = frozenset()  # names of what it adds, as in `Phase`

    @abstractmethod
    def forward(self, terms: Terms, kl: Tensor | None) -> Mapping[str, Weighted]:
        """Weights and values, [B] or [], by name.

        Parameters
        ----------
        terms
            Of a batch, with the prior in `p`.
        kl
            KL(q(z given x) || p(z)), [B]; None where q has no density.
        """

    if TYPE_CHECKING:  # a module returns Any

        def __call__(self, terms: Terms, kl: Tensor | None) -> Mapping[str, Weighted]: ...

    def serves(self, model: Model) -> None:
        """Refuse a model that it cannot serve; it is asked once, when both are put together.

        Raises
        ------
        CompositionError
            If the posterior is a point, without which there is no KL.
        """
        needs_density("the ELBO", model)

    def warm_up(self, share: float) -> Mapping[str, float]:
        """As `Phase.warm_up`."""
        return {}

    def log_weights(self, terms: Terms) -> Tensor:
        """log p(x given z) less what each draw adds, [K, B]: what a score function weighs, where it is such a sum."""
        raise CompositionError("this regulariser is no sum over draws; use gradient=pathwise")


@final
class Weight(nn.Module):
    """A weight at its final value, 0 or more, from which only a warm-up moves it."""

    value: Tensor

    def __init__(self, name: str, final: float) -> None:
        super().__init__()
        if not final >= 0:
            raise ConfigError(f"{name} must be 0 or more, but {final} was given")
        self.name = name
        self._final = float(final)
        self.register_buffer("value", torch.tensor(float(final)))

    def move(self, share: float) -> dict[str, float]:
        """Go to a share of the final value, which is returned by name."""
        self.value.fill_(self._final * share)
        return {self.name: self._final * share}


@final
class WeightedKL(Regulariser):
    """beta KL(q(z given x) || p(z)); Higgins et al. (2017), beta-VAE, eq. 4."""

    draws = frozenset(Draw)

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = Weight("beta", beta)

    def forward(self, terms: Terms, kl: Tensor | None) -> Mapping[str, Weighted]:
        assert kl is not None
        return {"kl": (self.beta.value, kl)}

    def warm_up(self, share: float) -> Mapping[str, float]:
        return self.beta.move(share)

    def log_weights(self, terms: Terms) -> Tensor:
        return terms.log_px + self.beta.value * (terms.log_weights - terms.log_px)


@register("regulariser/free-bits")
@final
class FreeBits(Regulariser):
    r"""beta sum_j max(lambda, E_batch KL_j): what a group of latents costs below lambda nats it need not save.

    Parameters
    ----------
    nats
        lambda, of each group.
    groups
        J, the number of groups: 1 for the total KL; 0, the default, for one each latent dimension (or group of
        categories). J groups of one size hold neighbouring dimensions.
    beta
        Final weight; a warm-up moves it.

    Raises
    ------
    CompositionError
        At the first batch, if the KL of these parts is one number and cannot be split into groups.

    References
    ----------
    Kingma et al. (2016), Improved variational inference with inverse autoregressive flow, arXiv:1606.04934, eq. 15.
    """

    draws = frozenset({Draw.PATHWISE, Draw.STOPPED})
    may_be_constant = frozenset({"free bits"})  # below lambda

    def __init__(self, nats: float = 0.5, groups: int = 0, beta: float = 1.0) -> None:
        super().__init__()
        if not nats >= 0:
            raise ConfigError(f"free bits must be 0 nats or more, but nats={nats} was given")
        if groups < 0:
            raise ConfigError(f"free bits need 1 group of latents, or 0 for each latent, but groups={groups} was given")
        self.nats = nats
        self.groups = groups
        self.beta = Weight("beta", beta)

    def forward(self, terms: Terms, kl: Tensor | None) -> Mapping[str, Weighted]:
        assert kl is not None
        mean = kl.mean().unsqueeze(0) if self.groups == 1 else self._by_group(terms)
        return {"free bits": (self.beta.value, mean.clamp(min=self.nats).sum())}

    def warm_up(self, share: float) -> Mapping[str, float]:
        return self.beta.move(share)

    def _by_group(self, terms: Terms) -> Tensor:
        """The mean KL over the batch, [J]."""
        known = 1 if terms.kl is None else len(terms.kl)
        if terms.kl is None or (known == 1 and terms.z.shape[-1] > 1):
            raise CompositionError(
                "free bits by latent need a KL that is a sum over latents, but that of this posterior and prior, or "
                "this estimate of it, is one number; give free-bits:groups=1, or parts with a closed form such as "
                "--posterior gaussian --prior standard"
            )
        mean = terms.rates.mean(1)
        if self.groups == 0:
            return mean
        if known % self.groups:
            raise CompositionError(
                f"{known} latents cannot be put into {self.groups} groups of one size; give groups=1, or a number that "
                f"divides {known}"
            )
        return mean.view(self.groups, -1).sum(1)


@register("regulariser/capacity")
@final
class Capacity(Regulariser):
    r"""gamma abs(E_batch KL - C): the KL is held at C nats, which a warm-up lets rise from 0.

    The KL is the mean over the batch, the rate of the code: rows share the C nats as they need them.

    Parameters
    ----------
    nats
        C at its final value.
    gamma
        Weight of the distance. The KL stays at C where it exceeds what a nat of KL is worth in nats of the likelihood,
        which is 1 at the KL of the ELBO; far above that it drowns the gradient of the likelihood.

    References
    ----------
    Burgess et al. (2018), Understanding disentangling in beta-VAE, arXiv:1804.03599.
    """

    draws = frozenset({Draw.PATHWISE, Draw.STOPPED})

    def __init__(self, nats: float = 25.0, gamma: float = 10.0) -> None:
        super().__init__()
        if not gamma >= 0:
            raise ConfigError(f"gamma must be 0 or more, but {gamma} was given")
        self.nats = Weight("capacity", nats)
        self.gamma = gamma

    def forward(self, terms: Terms, kl: Tensor | None) -> Mapping[str, Weighted]:
        assert kl is not None
        return {"distance from capacity": (self.gamma, (kl.mean() - self.nats.value).abs())}

    def warm_up(self, share: float) -> Mapping[str, float]:
        return self.nats.move(share)


def needs_density(what: str, model: Model) -> None:
    """Refuse a model whose posterior is a point.

    Raises
    ------
    CompositionError
        If its posterior has no density.
    """
    if not model.abilities.density:
        raise CompositionError(
            f"{what} needs a posterior with a density, but this one is a point; use --objective autoencoder, or "
            "--posterior gaussian"
        )
