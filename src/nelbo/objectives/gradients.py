"""Gradient estimators by reparameterised draws: surrogates whose gradient estimates that of a bound."""

from __future__ import annotations

from typing import final

from torch import Tensor

from nelbo.core import Batch, Bound, Draw, Gradient, Model, Terms
from nelbo.errors import CompositionError
from nelbo.registry import register


@register("gradient/pathwise")
@final
class Pathwise(Gradient):
    """Differentiate the bound through the reparameterised draws.

    References
    ----------
    Kingma and Welling (2013), Auto-encoding variational Bayes, arXiv:1312.6114, section 2.4.
    """

    draw = Draw.PATHWISE

    def forward(self, bound: Bound, log_w: Tensor, terms: Terms, batch: Batch) -> Tensor:
        return bound(log_w, terms.log_r)


@register("gradient/stl")
@final
class StickingTheLanding(Gradient):
    """Pathwise without the score of log q, whose mean is 0: no variance left where q is the posterior.

    Unbiased for the evidence lower bound alone; for others `DoublyReparameterised` is its unbiased form.

    References
    ----------
    Roeder, Wu and Duvenaud (2017), Sticking the landing, arXiv:1703.09194, eq. 8.
    """

    draw = Draw.STOPPED

    def forward(self, bound: Bound, log_w: Tensor, terms: Terms, batch: Batch) -> Tensor:
        return bound(log_w, terms.log_r)


@register("gradient/dreg")
@final
class DoublyReparameterised(Gradient):
    r"""The score of log q reparameterised too: for q's parameters sum_k (c_k - c_k') d log w_k / dz dz / dphi.

    c_k is the slope of the bound in log w_k and c_k' the slope of c_k in it. For the importance-weighted bound c is the
    normalised weight and c - c' its square; for the evidence lower bound c' = 0 (sticking the landing); for Renyi's
    alpha c + (1 - alpha) c^2. Parameters that reach log w by another way than z (those of the likelihood and the
    prior) have their slope c_k.

    References
    ----------
    Tucker et al. (2019), Doubly reparameterized gradient estimators for Monte Carlo objectives, arXiv:1810.04152, eq. 5
    and 8.
    """

    draw = Draw.STOPPED

    def forward(self, bound: Bound, log_w: Tensor, terms: Terms, batch: Batch) -> Tensor:
        slope, rise = bound.slopes(log_w.detach())
        if terms.z.requires_grad:
            share = (1 - rise).unsqueeze(-1)
            terms.z.register_hook(lambda gradient: gradient * share)  # type: ignore[no-untyped-call]
        # The value is the bound's, the gradient that of sum_k c_k log w_k.
        linear = (slope * log_w).sum(0)
        return bound(log_w.detach()) + linear - linear.detach()


def check_draws(gradient: Gradient, model: Model) -> None:
    """Refuse a gradient whose draws the posterior cannot make.

    Raises
    ------
    CompositionError
        If it differentiates through draws that have no gradient, or holds the parameters of q constant inside log q,
        and q cannot; or if its form is one for draws of equal weight, and the model enumerates.
    """
    if isinstance(gradient, DoublyReparameterised):
        needs_equal_weights("gradient=dreg", model)
    if gradient.draw is not Draw.SCORE and not model.abilities.reparameterised:
        raise CompositionError(
            "a reparameterised gradient (pathwise, stl, dreg) needs draws of z that have one, but those of this "
            "posterior are discrete; give a score function, e.g. --objective elbo:samples=5,gradient=vimco (or nvil, "
            "reinforce-average, reinforce), or --objective reweighted-wake-sleep, or relax the latents: --posterior "
            "relaxed-bernoulli with --prior relaxed-bernoulli"
        )
    if gradient.draw is Draw.STOPPED and not model.abilities.stoppable:
        raise CompositionError(
            "gradient=stl and gradient=dreg hold the parameters of q constant inside log q, which this posterior, with "
            "networks inside its maps, cannot; use gradient=pathwise, or e.g. --posterior planar"
        )


def needs_equal_weights(what: str, model: Model) -> None:
    """Refuse a model that enumerates latents, whose draws have sample weights.

    Raises
    ------
    CompositionError
        The message names what takes draws of equal weight only.
    """
    if model.abilities.weighs_draws:
        raise CompositionError(
            f"{what} takes draws of equal weight, but this model enumerates latents and weighs them; use --objective "
            "elbo or iwae as they are"
        )
