"""What a constructor declares of its arguments, and the check that values are of that type and size.

Parts are built from specs that may come from a file, so each argument is held against the annotation of the
constructor before the constructor runs: a `Prior` where a prior stands, a size that is a size. Nothing is imported,
opened or allocated for it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from torch import nn

from nelbo.errors import ConfigError, unknown

__all__ = ["LARGEST", "Count", "Widths", "check_argument", "declared"]

LARGEST = 2**24  # an integer in a spec; what a constructor allocates is checked against the weights besides
MOST = 1_000  # modules that one argument asks for
_STRICT = ConfigDict(allow_inf_nan=False, arbitrary_types_allowed=True, strict=True)
_NETWORKS = ("network/", "outputs/")  # what a file may name where any module may stand

Count = Annotated[int, Field(le=MOST)]  # how many layers, blocks or maps are made one after the other
Widths = Annotated[Sequence[int], Field(max_length=MOST)]  # sizes of layers, in their order


@functools.cache
def declared(cls: type) -> Mapping[str, Any]:
    """The annotations of a constructor by name; empty for a class without one."""
    if "__init__" not in vars(cls) and all("__init__" not in vars(base) for base in cls.__mro__[:-1]):
        return {}
    hints = get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    return {name: hint for name, hint in hints.items() if name != "return"}


def check_argument(cls: type, what: str, name: str, value: object) -> None:
    """Refuse a value that is not of the type that the constructor of a class declares.

    Parameters
    ----------
    what
        The part, for the message: `prior/mixture`.

    Raises
    ------
    ConfigError
        For a value of another type, out of its bounds, or an integer beyond 2^24.
    """
    annotation = declared(cls).get(name, Any)
    if get_origin(annotation) is Literal and value not in get_args(annotation):
        raise unknown(f"{name} of {what}:", str(value), map(str, get_args(annotation)))
    try:
        _adapter(cls, name).validate_python(value)
    except ValidationError as problem:
        raise _refusal(what, name, value, str(problem.errors()[0]["msg"]).removeprefix("Input should be ")) from None
    except RecursionError:
        raise ConfigError(f"option {name!r} of {what} is nested too deeply; give a plain value") from None
    if _has_a_huge_integer(value):
        raise _refusal(what, name, value, f"integers between -{LARGEST:,} and {LARGEST:,}")
    part = vars(value).get("_part") if isinstance(value, nn.Module) else None
    if annotation is nn.Module and part is not None and not str(part).startswith(_NETWORKS):
        raise _refusal(what, name, part, "a network")


@functools.cache
def _adapter(cls: type, name: str) -> TypeAdapter[Any]:
    return TypeAdapter(declared(cls).get(name, Any), config=_STRICT)


def _refusal(what: str, name: str, value: object, wanted: str) -> ConfigError:
    shown = repr(type(value).__name__ if isinstance(value, nn.Module) else value)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return ConfigError(f"option {name!r} of {what} should be {wanted}, but {shown} was given")


def _has_a_huge_integer(value: object) -> bool:
    if isinstance(value, int):
        return abs(value) > LARGEST
    return isinstance(value, list | tuple) and any(map(_has_a_huge_integer, value))
