"""Whether two log-likelihoods are of the same thing: only then is their difference a gain."""

from __future__ import annotations

import re

__all__ = ["are_comparable"]


def are_comparable(one: str, other: str) -> bool:
    """Whether figures with these reference measures can be compared.

    Equal measures can. So can a mass and a lower bound on the mass of the same values, as a discretised likelihood
    and one through dequantisation: the bound only ever understates. A mass and a density never can.
    """
    if one == other:
        return True
    values = _values(one)
    return values is not None and values == _values(other)


def _values(measure: str) -> str | None:
    """What a mass is a mass of: a number of levels, or counts; None for a density."""
    if "probability mass" not in measure or "not a probability mass" in measure:
        return None
    if "{0, 1}" in measure:
        return "2"
    if "counts" in measure:
        return "counts"
    top = re.search(r"levels 0\.\.(\d+)", measure)
    if top is not None:
        return str(int(top[1]) + 1)
    number = re.search(r"(\d+) (?:byte values|levels)", measure)
    return number[1] if number is not None else None
