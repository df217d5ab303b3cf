"""What models can be composed of: every registered part with its options and what it serves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from nelbo.core import Space
from nelbo.networks import halves, names
from nelbo.recipes import decided
from nelbo.registry import lookup, registered

__all__ = ["KINDS", "Part", "catalogue"]

KINDS = ("prior", "posterior", "likelihood", "network")


@final
@dataclass(frozen=True)
class Part:
    """One line of the catalogue."""

    kind: str
    name: str
    summary: str
    serves: str  # kinds of data, or the space of the latents
    reference: str  # the first source of its docstring
    options: Mapping[str, Any]  # name -> default

    @property
    def option_string(self) -> str:
        """As one writes them: components=500,start=0.05."""
        return ",".join(f"{name}={_written(value)}" for name, value in self.options.items())


def catalogue(kind: str) -> Iterator[Part]:
    """The parts of one kind, in alphabetical order."""
    for name, cls in _by_name(kind):
        known = decided(f"{kind}/{name}")
        known = known | {"hidden"} if kind == "network" else known  # --hidden, for both halves
        parameters = inspect.signature(cls).parameters.values()
        options = {p.name: p.default for p in parameters if p.name not in known and p.default is not p.empty}
        yield Part(kind, name, _summary(cls), _serves(cls), _reference(cls), options)


def _by_name(kind: str) -> Iterator[tuple[str, type]]:
    """Registered classes by the name a part string gives them; of a pair of networks, the encoder."""
    if kind == "network":
        return ((name, lookup(halves(name)[0])) for name in names())
    return registered(kind)


def _summary(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "").splitlines()[0].rstrip(".")


def _reference(cls: type) -> str:
    """The first entry below `References`, up to its arXiv number or section."""
    _, heading, rest = inspect.cleandoc(cls.__doc__ or "").partition("References\n----------\n")
    return " ".join(rest.split()).partition(";")[0].rstrip(".") if heading else ""


def _serves(cls: type) -> str:
    space, fits = getattr(cls, "space", None), getattr(cls, "fits", None)
    if isinstance(space, Space):
        return space.value
    if fits is None:
        return ""
    after = [f"{kind.value} after {' or '.join(ways)}" for kind, ways in getattr(cls, "after", {}).items()]
    return "; ".join([", ".join(sorted(kind.value for kind in fits)), *after])


def _written(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "+".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
