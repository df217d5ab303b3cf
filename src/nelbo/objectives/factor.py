"""FactorVAE: the total correlation by a discriminator, which is a phase of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.core import Batch, Loss, Model, Objective, Phase, Terms
from nelbo.errors import ConfigError
from nelbo.networks.mlp import MLP
from nelbo.objectives.elbo import ELBO
from nelbo.objectives.frozen import Frozen
from nelbo.objectives.regularisers import Regulariser, Weight, Weighted
from nelbo.registry import register


@register("objective/factor")
@final
class FactorVAE(Objective):
    r"""beta KL + gamma TC(z) beside the likelihood, TC by a discriminator that is trained along: two phases.

    The discriminator tells codes z ~ q(z given x) from codes whose dimensions were shuffled across the batch, draws of
    prod_d q(z_d); its logit is then log q(z) - sum_d log q(z_d), and the mean of that over codes is TC. The model's
    phase reads it with its weights constant; the discriminator's phase reads codes without their gradient, both kinds
    from the one batch, drawn afresh (the paper takes a second batch). The bound is that of the ELBO.

    Parameters
    ----------
    model
        Emits `Terms`; its posterior has a density.
    gamma
        Weight of the total correlation.
    beta
        Final weight of the KL; a warm-up moves it.
    samples
        Draws of z a datum in the model's phase.
    hidden
        Sizes of the discriminator's hidden layers (leaky ReLU); the paper takes six of 1000.

    References
    ----------
    Kim and Mnih (2018), Disentangling by factorising, arXiv:1802.05983, eq. 2 and 3, algorithm 2.
    """

    def __init__(
        self,
        model: Model,
        gamma: float = 10.0,
        beta: float = 1.0,
        samples: int = 1,
        hidden: Sequence[int] | int = (256, 256, 256),
    ) -> None:
        super().__init__()
        network = MLP(model.latent, 1, hidden, activation="leaky-relu")
        self.vae = ELBO(model, samples, regulariser=DensityRatio(network, gamma, beta))
        self.discriminator = Discriminator(network, model)
        self.knows(model)

    @property
    def phases(self) -> Sequence[Phase]:
        return (self.vae, self.discriminator)

    @property
    def validated(self) -> Phase:
        return self.vae


@final
class DensityRatio(Regulariser):
    """beta KL + gamma E_q(z) T(z), with T(z) a discriminator's logit, an estimate of log q(z) - sum_d log q(z_d).

    Parameters
    ----------
    network
        T, from [N, D] to [N, 1]; read only.
    gamma, beta
        Weights; a warm-up moves beta.
    """

    def __init__(self, network: nn.Module, gamma: float = 10.0, beta: float = 1.0) -> None:
        super().__init__()
        if not gamma >= 0:
            raise ConfigError(f"gamma must be 0 or more, but {gamma} was given")
        self.gamma = gamma
        self.beta = Weight("beta", beta)
        self._logit = Frozen(network)

    def forward(self, terms: Terms, kl: Tensor | None) -> Mapping[str, Weighted]:
        assert kl is not None
        logits: Tensor = self._logit(terms.z.flatten(0, 1)).view(terms.z.shape[:2])
        return {"kl": (self.beta.value, kl), "total correlation": (self.gamma, terms.mean(logits))}

    def warm_up(self, share: float) -> Mapping[str, float]:
        return self.beta.move(share)


@final
class Discriminator(Phase):
    """Cross-entropy, in nats, of telling codes from shuffled ones: log 2 where nothing tells them apart.

    Parameters
    ----------
    network
        From codes [N, D] to a logit [N, 1]; owned and trained here.
    model
        Draws the codes; read only.
    """

    name = "discriminator"
    optimiser = "adam:betas=0.5+0.9"
    lr = 1e-4

    def __init__(self, network: nn.Module, model: Model) -> None:
        super().__init__()
        self.network = network
        self._codes = Frozen(_Codes(model))

    def forward(self, batch: Batch) -> Loss:
        with torch.no_grad():
            codes, others = self._codes(batch)
            both = torch.cat([codes, shuffled(others)])
        logits: Tensor = self.network(both).squeeze(-1)
        of_codes, of_shuffled = logits.chunk(2)
        entropy = 0.5 * (F.softplus(-of_codes) + F.softplus(of_shuffled))
        return Loss(entropy.mean(), None, {"cross-entropy": entropy})


def shuffled(z: Tensor) -> Tensor:
    """Codes [B, D] with each dimension in an order of its own across the batch."""
    return z.gather(0, torch.rand_like(z).argsort(0))


@final
class _Codes(nn.Module):
    """Two draws of z a datum."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Tensor:
        return self.model.encode(batch).sample((2,))
