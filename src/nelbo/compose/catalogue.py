"""What models can be composed of: every registered part with its options and what it serves."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

from nelbo.core import Bound, Draw, Gradient, Space
from nelbo.networks import halves, names
from nelbo.objectives import ELBO, ImportanceObjective
from nelbo.objectives.regularisers import Regulariser
from nelbo.recipes import decided, objectives
from nelbo.registry import lookup, registered

__all__ = ["KINDS", "Part", "catalogue"]

KINDS = ("prior", "posterior", "likelihood", "network", "objective", "gradient", "measure")
_ESTIMATORS = {"kl": "analytic", "gradient": "pathwise"}  # objects of an objective, by the name of the default
_DRAWS = {
    Draw.PATHWISE: "reparameterised draws",
    Draw.STOPPED: "reparameterised draws, the score of q left out",
    Draw.SCORE: "draws of any posterior with a density",
}


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
        options = {name: value for name, value in _defaults(cls).items() if name not in known}
        options |= {name: value for name, value in _of_host(cls).items() if name not in known}
        yield Part(kind, name, _summary(cls), _serves(cls), _reference(cls), options)


def _by_name(kind: str) -> Iterable[tuple[str, type]]:
    """Registered classes by the name a part string gives them; of a pair of networks, the encoder.

    An importance-weighted bound is an objective by its own name, and so is a regulariser.
    """
    if kind == "network":
        return ((name, lookup(halves(name)[0])) for name in names())
    if kind == "objective":
        return sorted((name, lookup(f"{each}/{name}")) for name, each in objectives().items())
    return registered(kind)


def _of_host(cls: type) -> dict[str, Any]:
    """What the objective that takes such a part has options for."""
    if issubclass(cls, Bound):
        return _defaults(ImportanceObjective)
    if not issubclass(cls, Regulariser):
        return {}
    closed = {"kl"} if cls.reads_densities else set()
    alone = {"gradient"} if len(cls.draws) == 1 else set()
    return {name: value for name, value in _defaults(ELBO).items() if name not in {"beta", *closed, *alone}}


def _defaults(cls: type) -> dict[str, Any]:
    """The options of a constructor with a default; an estimator's by its name."""
    given = {p.name: p.default for p in inspect.signature(cls).parameters.values() if p.default is not p.empty}
    return {name: _ESTIMATORS.get(name) if value is None else value for name, value in given.items()}


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
    if issubclass(cls, Gradient):
        return _DRAWS[cls.draw]
    if fits is None:
        return ""
    after = [f"{kind.value} after {' or '.join(ways)}" for kind, ways in getattr(cls, "after", {}).items()]
    return "; ".join([", ".join(sorted(kind.value for kind in fits)), *after])


def _written(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "+".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
