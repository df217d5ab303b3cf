"""The terms of a model whose latents are all drawn, by its own answers: what most models need not write again."""

from __future__ import annotations

from nelbo.core import Batch, Draw, Model, Terms
from nelbo.distributions.drawing import rsample_with_log_prob

__all__ = ["drawn_terms"]


def drawn_terms(model: Model, batch: Batch, samples: int = 1, draw: Draw = Draw.PATHWISE) -> Terms:
    """K draws of q(z given x) with the densities of likelihood, prior and q: the KL is Monte Carlo."""
    q, p = model.encode(batch), model.prior_of(batch.context)
    z, log_qz = rsample_with_log_prob(q, samples, draw, density=model.abilities.density)
    return Terms(z, model.log_px(z, batch), q, log_pz=p.log_prob(z), log_qz=log_qz, p=p)
