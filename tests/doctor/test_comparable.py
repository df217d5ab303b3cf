"""Which figures can be compared: the phrases come from the data specification itself."""

from __future__ import annotations

import pytest

from nelbo.data import DataSpec, Kind
from nelbo.doctor.comparable import are_comparable


def measure(kind: Kind, density: bool, levels: int | None = None, transform: str = "none") -> str:
    spec = DataSpec(name="x", event_shape=(1, 4, 4), kind=kind, levels=levels, layout="image", transform=transform)
    return spec.reference_measure(density)


MASSES = {
    "binary": measure(Kind.BINARY, False),
    "bytes": measure(Kind.BYTE, False, 256),
    "levels": measure(Kind.LEVELS, False, 17),
    "counts": measure(Kind.COUNT, False),
}
DENSITIES = {
    "real": measure(Kind.REAL, True),
    "raw grid": measure(Kind.REAL, True, 256, "density"),
    "log1p": measure(Kind.REAL, True, None, "log1p"),
}


@pytest.mark.parametrize("phrase", [*MASSES.values(), *DENSITIES.values()])
def test_a_measure_is_comparable_with_itself(phrase: str) -> None:
    assert are_comparable(phrase, phrase)


@pytest.mark.parametrize("mass", MASSES.values())
@pytest.mark.parametrize("density", DENSITIES.values())
def test_a_mass_is_never_comparable_with_a_density(mass: str, density: str) -> None:
    assert not are_comparable(mass, density)
    assert not are_comparable(density, mass)


def test_masses_of_different_values_are_not_comparable() -> None:
    phrases = list(MASSES.values())
    assert not any(are_comparable(a, b) for i, a in enumerate(phrases) for b in phrases[i + 1 :])


@pytest.mark.parametrize(("kind", "levels", "name"), [(Kind.BYTE, 256, "bytes"), (Kind.LEVELS, 17, "levels")])
def test_a_bound_through_dequantisation_is_comparable_with_the_mass_of_the_same_levels(
    kind: Kind, levels: int, name: str
) -> None:
    bound = measure(Kind.REAL, True, levels, "dequantize")
    assert are_comparable(bound, MASSES[name])
    assert not are_comparable(bound, MASSES["binary"])
    assert not are_comparable(bound, DENSITIES["real"])


def test_a_bound_on_counts_is_comparable_with_their_mass() -> None:
    assert are_comparable(measure(Kind.REAL, True, None, "dequantize"), MASSES["counts"])
