"""The catalogue of parts: each with its options and its source."""

from __future__ import annotations

import inspect

import pytest

from nelbo.citations import of_part
from nelbo.compose import KINDS, Part, catalogue
from nelbo.core import Posterior, Prior
from nelbo.networks import halves, names, options
from nelbo.recipes import HOSTS, NOT_BY_NAME, objectives
from nelbo.registry import lookup, parse_part, registered

PARTS = [part for kind in KINDS for part in catalogue(kind)]


def test_every_registered_part_is_listed() -> None:
    assert {(part.kind, part.name) for part in PARTS} == {
        (kind, name)
        for kind in KINDS
        for name in (names() if kind == "network" else (name for name, _ in registered(kind)))
    } - {("objective", name) for name in NOT_BY_NAME} | {
        ("objective", name) for kind in HOSTS for name, _ in registered(kind)
    }


def test_a_pair_of_networks_is_one_line_whose_options_both_halves_take() -> None:
    found = {part.name: part for part in catalogue("network")}
    assert {"conv", "conv-1d", "resnet"} <= set(found)
    assert not any(name.endswith(("-encoder", "-decoder")) for name in found)
    for name, part in found.items():
        assert set(part.options) <= options(name)


def class_of(part: Part) -> type:
    if part.kind == "network":
        return lookup(halves(part.name)[0])
    kind = objectives()[part.name] if part.kind == "objective" else part.kind
    return lookup(f"{kind}/{part.name}")


@pytest.mark.parametrize("part", PARTS, ids=lambda part: f"{part.kind}-{part.name}")
def test_a_part_says_what_it_is(part: Part) -> None:
    assert part.summary
    takes = set(inspect.signature(class_of(part)).parameters)
    kind = objectives().get(part.name) if part.kind == "objective" else None
    if kind in HOSTS:
        takes |= set(inspect.signature(lookup(f"objective/{HOSTS[kind]}")).parameters)
    assert set(part.options) <= takes
    name, options = parse_part(f"{part.name}:{part.option_string}" if part.option_string else part.name)
    assert name == part.name
    assert set(options) == set(part.options)


@pytest.mark.parametrize("part", [p for p in PARTS if p.kind != "network"], ids=lambda part: f"{part.kind}-{part.name}")
def test_a_part_of_the_model_names_its_source_and_what_it_serves(part: Part) -> None:
    assert of_part(f"{part.kind}/{part.name}") or part.reference
    assert part.serves or part.kind in {"objective", "measure"}


def test_spaces_are_those_of_the_classes() -> None:
    for kind, base in (("prior", Prior), ("posterior", Posterior)):
        assert all(issubclass(cls, base) for _, cls in registered(kind))
