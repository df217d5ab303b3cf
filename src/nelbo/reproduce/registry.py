"""The reproductions by name."""

from __future__ import annotations

from nelbo.errors import unknown
from nelbo.reproduce import aevb_frey, altosaar, fashion_bytes, ppca
from nelbo.reproduce.record import Reproduction

REPRODUCTIONS: dict[str, Reproduction] = {
    each.name: each
    for each in (ppca.REPRODUCTION, altosaar.REPRODUCTION, aevb_frey.REPRODUCTION, fashion_bytes.REPRODUCTION)
}


def find(name: str) -> Reproduction:
    """A reproduction by name; an unknown one is refused with the nearest."""
    if name not in REPRODUCTIONS:
        raise unknown("reproduction", name, REPRODUCTIONS)
    return REPRODUCTIONS[name]
