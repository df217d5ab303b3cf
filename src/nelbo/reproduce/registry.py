"""The reproductions by name."""

from __future__ import annotations

from nelbo.errors import unknown
from nelbo.reproduce import (
    aevb_frey,
    aevb_marginal,
    aevb_mnist,
    altosaar,
    altosaar_iaf,
    bernoulli_latents,
    counts,
    estimators,
    fashion_bytes,
    fashion_vamp,
    gradient_variance,
    iwae,
    parts,
    ppca,
    sigma_vae,
    sticks,
)
from nelbo.reproduce.record import Reproduction

REPRODUCTIONS: dict[str, Reproduction] = {
    each.name: each
    for each in (
        ppca.REPRODUCTION,
        altosaar.REPRODUCTION,
        altosaar_iaf.REPRODUCTION,
        aevb_frey.REPRODUCTION,
        aevb_mnist.REPRODUCTION,
        aevb_marginal.REPRODUCTION,
        fashion_bytes.REPRODUCTION,
        fashion_vamp.REPRODUCTION,
        estimators.REPRODUCTION,
        gradient_variance.REPRODUCTION,
        iwae.REPRODUCTION,
        iwae.FULL_REPRODUCTION,
        sigma_vae.REPRODUCTION,
        sticks.REPRODUCTION,
        bernoulli_latents.REPRODUCTION,
        counts.REPRODUCTION,
        parts.REPRODUCTION,
    )
}


def find(name: str) -> Reproduction:
    """A reproduction by name; an unknown one is refused with the nearest."""
    if name not in REPRODUCTIONS:
        raise unknown("reproduction", name, REPRODUCTIONS)
    return REPRODUCTIONS[name]
