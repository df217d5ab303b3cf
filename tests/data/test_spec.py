"""Laws of the data spec: it survives JSON, refuses what does not fit, and words its measure."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from nelbo.data import Column, DataSpec, Kind, Scaling
from nelbo.data.spec import ON_THE_GRID


def make(**changes: object) -> DataSpec:
    plain = {"name": "toy", "event_shape": (1, 2, 3), "kind": "byte", "levels": 256, "layout": "image"}
    return DataSpec.model_validate({**plain, **changes})


def test_spec_survives_json_unchanged() -> None:
    spec = make(
        event_shape=(2,),
        kind="real",
        levels=None,
        layout="table",
        scaling=Scaling(shift=(0.1, 1 / 3), scale=(1.0, 2.0), name="standardise"),
        columns=(Column(name="a", kind=Kind.REAL, low=-1, high=2, distinct=7),) * 2,
        label_names=("no", "yes"),
        warnings=("careful",),
        reasons=("because",),
    )
    assert DataSpec.model_validate_json(spec.model_dump_json()) == spec


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="colour"):
        make(colour="red")


def test_spec_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        make().name = "other"  # type: ignore[misc]


def test_scaling_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValidationError, match="2 numbers for 6 event dimensions"):
        make(scaling=Scaling(shift=(0.0, 1.0), name="standardise"))


def test_dim_is_the_product_of_the_event_shape() -> None:
    assert make().dim == 6


def test_number_scaling_is_0_dimensional_and_tuple_scaling_takes_the_event_shape() -> None:
    number = Scaling(shift=0.0, scale=255.0, name="unit")
    assert number.scale_tensor((1, 2, 3)).shape == ()
    each = Scaling(shift=tuple(range(6)), scale=(1.0,) * 6, name="standardise")
    expected = torch.tensor([[[0.0, 1, 2], [3, 4, 5]]])
    assert torch.equal(each.shift_tensor((1, 2, 3)), expected)
    assert each.scale_tensor((1, 2, 3)).dtype == torch.float32


@pytest.mark.parametrize(
    ("changes", "density", "words"),
    [
        ({"kind": "binary", "levels": None}, False, "probability mass on {0, 1} per pixel"),
        ({"kind": "binary", "levels": None, "layout": "table"}, False, "probability mass on {0, 1} per column"),
        ({}, False, "probability mass on the 256 byte values per pixel"),
        ({"kind": "levels", "levels": 17}, False, "probability mass on levels 0..16 per pixel"),
        ({"kind": "count", "levels": None}, False, "probability mass on the counts 0, 1, 2, ... per pixel"),
        ({"kind": "real", "levels": None}, True, "Lebesgue density in the data's own units"),
        (
            {"kind": "real", "transform": "dequantize"},
            True,
            "lower bound on the probability mass of the 256 levels, through uniform dequantisation "
            "(Lebesgue density per raw unit)",
        ),
        (
            {"kind": "real", "warnings": (ON_THE_GRID,)},
            True,
            "Lebesgue density on the raw grid (not a probability mass)",
        ),
        ({}, True, "Lebesgue density on the raw grid (not a probability mass)"),
        ({"kind": "real", "levels": None, "transform": "logit"}, True, "Lebesgue density in the data's own units"),
    ],
)
def test_reference_measure_says_mass_or_density(changes: dict[str, object], density: bool, words: str) -> None:
    assert make(**changes).reference_measure(density) == words


def test_logit_of_levels_is_a_bound_on_their_mass() -> None:
    assert "lower bound" in make(kind="real", transform="logit:squeeze=0.01").reference_measure(True)


def test_explanation_holds_every_reason_and_warning() -> None:
    text = make(reasons=("because",), warnings=("careful",), transform="density").explain()
    assert "images of 1 x 2 x 3" in text
    assert "after density" in text
    assert "  - because" in text
    assert "  ! careful" in text
