"""The options of a part string: a wrong type or size of any option of any part is refused in one sentence."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest

from nelbo.data import Kind
from nelbo.errors import NelboError
from nelbo.registry import lookup, registered
from nelbo.settings import resolve
from nelbo.train import prepare
from zoo import rows_of

WRONG = {int: ("abc", "2.5", "true", "-1"), float: ("abc", "true")}
FILLED_IN = {"dim", "context", "levels", "bounded"}


def _cases() -> list[tuple[str, str, str]]:
    found = []
    for kind in ("prior", "posterior", "likelihood"):
        for name, cls in registered(kind):
            hints = get_type_hints(cls.__init__)  # type: ignore[misc]
            for option in set(inspect.signature(cls).parameters) - FILLED_IN:
                found += [(kind, name, f"{option}={value}") for value in WRONG.get(hints[option], ())]
    return sorted(found)


def _partner(kind: str, space: object) -> str:
    return next(name for name, cls in registered(kind) if getattr(cls, "space", None) is space)


@pytest.mark.parametrize(("kind", "name", "option"), _cases())
def test_a_wrong_type_or_size_is_refused_in_one_sentence(kind: str, name: str, option: str) -> None:
    cls: Any = lookup(f"{kind}/{name}")
    settings = {kind: f"{name}:{option}", "latent": 4}
    data = "bytes"
    if kind == "likelihood":
        data = min(each.value for each in cls.fits).replace(Kind.BYTE, "bytes")
    else:
        other = {"prior": "posterior", "posterior": "prior"}[kind]
        settings[other] = _partner(other, cls.space)
    with pytest.raises(NelboError) as refused:
        prepare(resolve(settings), rows_of(data)).build()
    assert option.split("=")[1].lower() in str(refused.value).lower()
    assert "\n" not in str(refused.value)


def test_what_is_filled_in_is_not_an_option() -> None:
    with pytest.raises(NelboError, match="'context'"):
        prepare(resolve({"prior": "flow:context=3"}), rows_of("levels"))
