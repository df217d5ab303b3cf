"""The options of a part string: a wrong type or size of any option of any part is refused in one sentence."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import pytest

from nelbo.data import Kind
from nelbo.errors import NelboError
from nelbo.recipes import decided
from nelbo.registry import lookup, registered
from nelbo.settings import resolve
from nelbo.train import prepare
from zoo import rows_of

WRONG = {int: ("abc", "2.5", "true", "-1", "2+3"), float: ("abc", "true", "inf", "nan", "2+3")}


def _cases() -> list[tuple[str, str, str]]:
    found = []
    for kind in ("prior", "posterior", "likelihood", "regulariser"):
        for name, cls in registered(kind):
            hints = get_type_hints(cls.__init__)  # type: ignore[misc]
            for option in set(inspect.signature(cls).parameters) - decided(f"{kind}/{name}"):
                found += [(kind, name, f"{option}={value}") for value in WRONG.get(hints[option], ())]
    return sorted(found)


def _partner(kind: str, space: object) -> str:
    return next(name for name, cls in registered(kind) if getattr(cls, "space", None) is space)


@pytest.mark.parametrize(("kind", "name", "option"), _cases())
def test_a_wrong_type_or_size_is_refused_in_one_sentence(kind: str, name: str, option: str) -> None:
    cls: Any = lookup(f"{kind}/{name}")
    settings = {kind: f"{name}:{option}", "latent": 4}
    data = "bytes"
    if kind == "regulariser":
        settings = {"objective": settings[kind], "latent": 4}
    elif kind == "likelihood":
        data = min(each.value for each in cls.fits).replace(Kind.BYTE, "bytes")
    else:
        other = {"prior": "posterior", "posterior": "prior"}[kind]
        settings[other] = _partner(other, cls.space)
    with pytest.raises(NelboError) as refused:
        prepare(resolve(settings), rows_of(data)).build()
    assert option.split("=")[1].partition("+")[0].lower() in str(refused.value).lower()
    assert "\n" not in str(refused.value)


def _filled_in() -> list[tuple[str, str, str]]:
    """Every argument of every part that the data decide."""
    return sorted(
        (kind, name, option)
        for kind in ("prior", "posterior", "likelihood")
        for name, cls in registered(kind)
        for option in set(inspect.signature(cls).parameters) & decided(f"{kind}/{name}")
    )


@pytest.mark.parametrize(("kind", "name", "option"), [case for case in _filled_in() if case[1] != "mixed"])
def test_what_the_data_decide_is_not_an_option(kind: str, name: str, option: str) -> None:
    cls: Any = lookup(f"{kind}/{name}")
    data = min(each.value for each in cls.fits).replace(Kind.BYTE, "bytes") if kind == "likelihood" else "levels"
    with pytest.raises(NelboError, match=f"unknown option of {kind}/{name}: '{option}'"):
        prepare(resolve({kind: f"{name}:{option}=3", "latent": 4}), rows_of(data))


@pytest.mark.parametrize("setting", ["beta", "min_log_variance", "lr"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_settings_are_finite(setting: str, value: float) -> None:
    with pytest.raises(NelboError, match=f"--{setting.replace('_', '-')} should be a finite number"):
        resolve({setting: value})


@pytest.mark.parametrize("network", ["conv", "resnet", "residual-mlp"])
def test_a_dropout_out_of_range_is_refused_in_one_sentence(network: str) -> None:
    with pytest.raises(NelboError, match="between 0 and 1"):
        prepare(resolve({"network": f"{network}:dropout=2.0"}), rows_of("levels")).build()
