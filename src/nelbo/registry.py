"""Specs: every registered part remembers how it was built, as a tree of plain JSON.

`register("likelihood/gaussian")` records a class's constructor arguments; `spec_of(module)` reads them back as
`{"part": "likelihood/gaussian", "network": {"part": "network/mlp", ...}, "sigma": "shared"}`; `build(spec)` makes
the module again. Nothing is executed on load but the constructors of registered classes. A module of the user's own
that is not registered appears as `{"part": "custom", ...}` and must be handed to `build` by its path.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from torch import nn

from nelbo.arguments import check_argument
from nelbo.errors import CompositionError, ConfigError, unknown

Spec = Mapping[str, Any]
T = TypeVar("T", bound=type)

_CLASSES: dict[str, type] = {}
_ROOMS = (
    "nelbo.networks",
    "nelbo.priors",
    "nelbo.posteriors",
    "nelbo.likelihoods",
    "nelbo.models",
    "nelbo.objectives",
)
_LATER_ROOMS = {"measure": "nelbo.evaluate.measures"}  # opened for their own kind alone: no training needs them
# Kinds of parts that a model's file may name.
OF_A_MODEL = frozenset({"model", "prior", "posterior", "likelihood", "network", "outputs", "reading"})
DEEPEST = 20  # parts within parts


def register(path: str) -> Callable[[T], T]:
    """Class decorator: make a part known under `kind/name` and record its constructor arguments.

    Raises
    ------
    CompositionError
        If another class already holds the name.
    """

    def decorate(cls: T) -> T:
        held = _CLASSES.get(path)
        # The same class again is its module read anew.
        if held is not None and (held.__module__, held.__qualname__) != (cls.__module__, cls.__qualname__):
            raise CompositionError(
                f"the name {path!r} is taken by {held.__module__}.{held.__qualname__}; choose another"
            )
        _CLASSES[path] = cls
        _record_arguments(cls, path)
        return cls

    return decorate


def spec_of(module: object) -> dict[str, Any]:
    """The spec tree of a registered object: its name and constructor arguments, plain JSON throughout.

    A part that was exchanged after construction (`model.prior = VampPrior(...)`) appears as what stands there now. A
    custom (unregistered) module inside appears as `{"part": "custom", "class": ...}`.
    """
    arguments = module.__dict__.get("_arguments")
    if arguments is None:
        return {"part": "custom", "class": f"{type(module).__module__}.{type(module).__qualname__}"}
    # What took the place of a submodule since the constructor ran, or was taken away, is what stands there now.
    as_built = module.__dict__["_as_built"]
    exchanged = {name: held for name, before in as_built.items() if (held := _submodule(module, name)) is not before}
    named = {name: _plain(value) for name, value in {**arguments, **exchanged}.items()}
    return {"part": module.__dict__["_part"], **named}


def _submodule(module: object, name: str) -> object:
    return vars(module).get("_modules", {}).get(name)


def build(
    spec: Spec,
    networks: Mapping[str, nn.Module] | None = None,
    *,
    kinds: Collection[str] | None = None,
    path: str = "",
) -> Any:
    """The object a spec tree describes; nothing runs but the constructors of registered classes.

    Parameters
    ----------
    spec
        A tree made by `spec_of` (or by a recipe).
    networks
        Modules of the user's own, by their path in the tree, e.g. `{"model.posterior.network": net}`.
    kinds
        Kinds of parts that it may name; `OF_A_MODEL` for a spec that comes from a file.

    Raises
    ------
    CompositionError
        For a custom module that was not handed over, or arguments the part does not take.
    ConfigError
        For a part that is not registered (the nearest name is given) or of another kind, or an argument that is not
        of the type that the constructor declares or out of range.
    """
    handed = networks or {}
    name = str(spec.get("part", ""))
    if name == "custom":
        if path in handed:
            return handed[path]
        raise CompositionError(
            f"{path or 'the model'!r} is a module of your own ({spec.get('class')}), which is not stored as code; "
            f"pass it by its path: networks={{{path!r}: module}}"
        )
    if path.count(".") >= DEEPEST:
        raise ConfigError(f"the spec nests parts more than {DEEPEST} deep; no model of nelbo's does")
    if kinds is not None and (kind := name.partition("/")[0]) not in kinds:
        raise unknown("kind of part in a model:", kind, kinds)
    cls = lookup(name)
    children = {
        key: _built(value, handed, kinds, f"{path}.{key}" if path else key)
        for key, value in spec.items()
        if key != "part"
    }
    try:
        inspect.signature(cls).bind(**children)
    except TypeError as problem:
        taken = ", ".join(p for p in inspect.signature(cls).parameters)
        raise CompositionError(f"{name}: {problem}; it takes: {taken or 'nothing'}") from None
    for key, value in children.items():
        check_argument(cls, name, key, value)
    try:
        return cls(**children)
    except ValueError as problem:
        raise ConfigError(f"{name}: {problem}") from None


def _built(value: Any, handed: Mapping[str, nn.Module], kinds: Collection[str] | None, path: str) -> Any:
    """An argument of a constructor: a part, a list that may hold parts, or a plain value."""
    if isinstance(value, list | tuple):
        if not any(map(_is_nested, value)):  # numbers or words: a scale for each of many columns
            return value
        return [_built(item, handed, kinds, f"{path}.{place}") for place, item in enumerate(value)]
    return build(value, handed, kinds=kinds, path=path) if _is_spec(value) else value


def _is_nested(value: Any) -> bool:
    return isinstance(value, list | tuple | Mapping)


def lookup(path: str) -> type:
    """The class registered under `kind/name`; an unknown name is refused with the nearest."""
    kind, _, name = path.partition("/")
    _open(kind)
    if path in _CLASSES:
        return _CLASSES[path]
    raise unknown(kind or "part", name or path, (n for n, _ in registered(kind)))


def registered(kind: str) -> Iterator[tuple[str, type]]:
    """Names and classes of one kind ("likelihood", "network", ...), in alphabetical order."""
    _open(kind)
    prefix = f"{kind}/"
    return iter(sorted((path.removeprefix(prefix), cls) for path, cls in _CLASSES.items() if path.startswith(prefix)))


@contextmanager
def registering(again: Collection[str] = ()) -> Iterator[Callable[[], dict[str, type]]]:
    """Gives a function that tells what was registered meanwhile; all of it is undone by an exception.

    Parameters
    ----------
    again
        Paths to forget first: those of a file that is read anew.
    """
    _open(*_LATER_ROOMS)  # ours come first: their names are taken, and they are not what is registered meanwhile
    before = dict(_CLASSES)
    for path in again:
        _CLASSES.pop(path, None)
    start = dict(_CLASSES)
    done = False
    try:
        yield lambda: {path: cls for path, cls in _CLASSES.items() if start.get(path) is not cls}
        done = True
    finally:
        if not done:
            _CLASSES.clear()
            _CLASSES.update(before)


def parse_part(text: str, typed: bool = True) -> tuple[str, dict[str, Any]]:
    """A part string `name:key=value,key=value` as its name and typed options.

    Values read as true/false, whole numbers, numbers, or words (words alone if not `typed`); `a+b` is a list. One value
    without a key is kept under the empty key, for the part to interpret (`linear:0.2`).
    """
    name, _, rest = text.strip().partition(":")
    if not name:
        raise ConfigError(f"{text!r} names nothing; write name or name:key=value,key=value")
    options: dict[str, Any] = {}
    for item in filter(None, (piece.strip() for piece in rest.split(","))):
        key, equals, value = item.partition("=")
        if not equals:
            key, value = "", item
        if key in options:
            raise ConfigError(f"{text!r} gives {key or 'a value'!r} twice; keep one")
        options[key] = _typed(value) if typed else value.split("+")
    return name, options


class Quantity(NamedTuple):
    """A number and the unit it was written with."""

    number: float
    unit: str


def parse_quantity(text: str, units: Collection[str]) -> Quantity | None:
    """A finite number above 0 with one of some units behind it, as `10min`; None for anything else.

    The empty unit among them allows a bare number.
    """
    word = text.strip()
    for unit in units:
        try:
            number = float(word.removesuffix(unit)) if word.endswith(unit) else math.nan
        except ValueError:
            continue
        if 0 < number < math.inf:
            return Quantity(number, unit)
    return None


def _typed(word: str) -> Any:
    if word.lower() in {"true", "false"}:
        return word.lower() == "true"
    for kind in (int, float):  # before lists: 1e+2 is a number, shape+size are two words
        try:
            return kind(word)
        except ValueError:
            continue
    return [_typed(part) for part in word.split("+")] if "+" in word[1:] else word


def _record_arguments(cls: type, path: str) -> None:
    original = cls.__init__  # type: ignore[misc]
    signature = inspect.signature(original)

    @functools.wraps(original)
    def init(self: object, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        # Through __dict__: nn.Module would register the modules among the arguments a second time.
        self.__dict__["_arguments"] = dict(list(bound.arguments.items())[1:])
        self.__dict__["_part"] = path
        original(self, *args, **kwargs)
        self.__dict__["_as_built"] = {name: _submodule(self, name) for name in signature.parameters}

    cls.__init__ = init  # type: ignore[misc]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return spec_of(value)


def _is_spec(value: Any) -> bool:
    return isinstance(value, Mapping) and "part" in value


def _open(*kinds: str) -> None:
    """Import every file of the rooms, and of those of some kinds: parts register themselves."""
    for room in (*_ROOMS, *(_LATER_ROOMS[kind] for kind in kinds if kind in _LATER_ROOMS)):
        _open_room(room)


@functools.cache
def _open_room(room: str) -> None:
    package = importlib.import_module(room)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{room}.{module.name}")
