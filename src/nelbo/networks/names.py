"""Networks by the name that `--network` gives them: one class for both ways, or an encoder and a decoder.

Two classes registered as `network/NAME-encoder` and `network/NAME-decoder` are the pair NAME; any other registered
network serves as both. What a constructor takes (`shape`, `hidden`, `in_features`, ...) is what it is given.
"""

from __future__ import annotations

import inspect

from nelbo.errors import unknown
from nelbo.registry import lookup, registered

__all__ = ["halves", "names", "options"]

ENCODER, DECODER = "-encoder", "-decoder"


def names() -> list[str]:
    """What `--network` takes, in alphabetical order."""
    found = [name for name, _ in registered("network")]
    pairs = {name.removesuffix(ENCODER) for name in found if name.endswith(ENCODER)}
    pairs = {name for name in pairs if f"{name}{DECODER}" in found}
    return sorted({*pairs, *(name for name in found if not name.endswith((ENCODER, DECODER)))})


def halves(name: str) -> tuple[str, str]:
    """The registered names of the encoder and of the decoder that a name stands for.

    Raises
    ------
    ConfigError
        If there is no such network (the nearest name is given).
    """
    known = names()
    if name not in known:
        raise unknown("network", name, known)
    if name in dict(registered("network")):
        return f"network/{name}", f"network/{name}"
    return f"network/{name}{ENCODER}", f"network/{name}{DECODER}"


def options(name: str) -> frozenset[str]:
    """What the constructors of both halves take."""
    encoder, decoder = (set(inspect.signature(lookup(half)).parameters) for half in halves(name))
    return frozenset(encoder & decoder)
