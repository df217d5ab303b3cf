"""Wake-sleep and its reweighted form: the recognition model learns from dreams, or from weighted draws."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch, Draw, Loss, Model, SinglePhase
from nelbo.errors import ConfigError
from nelbo.objectives.bounds import ImportanceWeighted
from nelbo.objectives.regularisers import needs_density
from nelbo.registry import register


@register("objective/wake-sleep")
@final
class WakeSleep(SinglePhase):
    r"""loss = -log p(x, z) at z ~ q(z given x), and -log q(z given x) at z, x ~ p(x, z).

    In the wake phase likelihood and prior follow the gradient of the bound, with q as it is. In the sleep phase q is
    fitted to dreams, data that the model makes with their latents: that lowers KL(p(z given x) || q(z given x)) over
    them, not the KL of the bound, so that the two together descend on no single objective. Draws are constants: any
    latents will do. The two losses share no parameter, and make one step.

    Parameters
    ----------
    model
        Emits `Terms`.
    samples
        Draws of z a datum in the wake phase, and dreams a datum in the sleep phase.

    References
    ----------
    Hinton, Dayan, Frey and Neal (1995), The wake-sleep algorithm for unsupervised neural networks; Kingma and Welling
    (2013), Auto-encoding variational Bayes, arXiv:1312.6114, section 5.
    """

    def __init__(self, model: Model, samples: int = 1) -> None:
        super().__init__()
        _check("wake-sleep", model, samples)
        if not model.sides().prior_learns:
            self.may_be_constant = frozenset({"kl"})  # q is as it is, and so is the prior
        self.model = model
        self.samples = samples

    def forward(self, batch: Batch) -> Loss:
        terms = self.model.terms(batch, self.samples, Draw.SCORE)
        terms = terms.weighted_as_constants()
        kl = terms.mean(terms.log_qz_given.detach() - terms.log_pz_given)
        parts = {"likelihood": -terms.mean(terms.log_px), "kl": kl}
        if self.training:
            parts["sleep"] = dreamt(self.model, batch, self.samples)
        return terms.loss(parts, terms.mean(terms.log_weights))


@register("objective/reweighted-wake-sleep")
@final
class ReweightedWakeSleep(SinglePhase):
    r"""loss = -sum_k w_k log p(x, z_k), and for q a share of -sum_k w_k log q(z_k given x) and of the dreams' surprise.

    w_k are the normalised importance weights of K draws of q, constants: the first sum has the gradient of the
    importance-weighted bound, the second fits q to the posterior that the weights stand for (the wake-phase update of
    q), both biased for finite K. With one draw and `sleep=1` it is wake-sleep.

    Parameters
    ----------
    model
        Emits `Terms`.
    samples
        K, the number of draws of z a datum; as many dreams a datum.
    sleep
        Share of the sleep phase in the loss of q, 0 (wake phase alone) to 1.

    References
    ----------
    Bornschein and Bengio (2015), Reweighted wake-sleep, arXiv:1406.2751, section 2.2 to 2.4.
    """

    def __init__(self, model: Model, samples: int = 10, sleep: float = 0.5) -> None:
        super().__init__()
        _check("reweighted wake-sleep", model, samples)
        if not 0 <= sleep <= 1:
            raise ConfigError(f"the share of the sleep phase must be between 0 and 1, but {sleep} was given")
        self.model = model
        self.samples = samples
        self.sleep = sleep

    def forward(self, batch: Batch) -> Loss:
        terms = self.model.terms(batch, self.samples, Draw.SCORE).weighted_as_constants()
        bound = ImportanceWeighted()
        log_w = terms.log_weights.detach()
        weights, _ = bound.slopes(log_w, terms.log_r)
        value = bound(log_w, terms.log_r)
        joint = (weights * (terms.log_px + terms.log_pz_given)).sum(0)
        parts = {"bound": -(value + joint - joint.detach())}
        if self.training and self.sleep < 1:
            parts["wake"] = -(1 - self.sleep) * (weights * terms.log_qz_given).sum(0)
        if self.training and self.sleep > 0:
            parts["sleep"] = self.sleep * dreamt(self.model, batch, self.samples)
        return terms.loss(parts, value)


def dreamt(model: Model, batch: Batch, samples: int) -> Tensor:
    """-log q(z given x) at z, x ~ p(x, z), the mean over dreams of each datum's context, [B] in nats."""
    context = None if batch.context is None else batch.context.repeat(samples, 1)
    with torch.no_grad():
        z = model.sample_latents(samples * len(batch), context)
        x = model.decode(z, context).sample()
    surprise: Tensor = -model.encode(Batch(x, context=context)).log_prob(z)
    return surprise.view(samples, -1).mean(0)


def _check(what: str, model: Model, samples: int) -> None:
    if samples < 1:
        raise ConfigError(f"{what} needs 1 draw of z or more, but samples={samples} was given")
    needs_density(what, model)
