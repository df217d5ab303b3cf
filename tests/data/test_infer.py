"""Laws of inference: what values say of their kind, and that the user is told."""

from __future__ import annotations

import numpy as np
import pytest

from nelbo.data import DataSpec, Kind, load
from nelbo.errors import DataError

RANDOM = np.random.default_rng(0)
UNIT = RANDOM.random((40, 2)).astype(np.float32)


def spec(values: np.ndarray, kind: str | None = None) -> DataSpec:
    return load(values, kind=kind).spec


@pytest.mark.parametrize(
    ("values", "kind", "levels"),
    [
        (RANDOM.integers(0, 2, (20, 4, 4)), "binary", None),
        (RANDOM.integers(0, 2, (20, 4, 4)).astype(bool), "binary", None),
        (RANDOM.integers(0, 256, (20, 4, 4), dtype=np.uint8), "byte", 256),
        (RANDOM.integers(0, 9, (20, 4, 4), dtype=np.uint8), "byte", 256),
        (np.arange(17.0).repeat(16).reshape(17, 4, 4), "levels", 17),
        (np.arange(256).reshape(16, 4, 4), "byte", 256),
        (RANDOM.random((20, 4, 4)), "unit", None),
        (RANDOM.standard_normal((20, 4, 4)), "real", None),
        (RANDOM.random((20, 4, 4)) * 3, "real", None),
        (RANDOM.integers(0, 2, (20, 4)), "binary", None),
        (RANDOM.integers(1, 6, (20, 4)).astype(float), "levels", None),
        (RANDOM.integers(0, 1000, (200, 4)), "count", None),
        (UNIT + 0.5, "positive", None),
        (UNIT, "unit", None),
        (UNIT - 0.5, "real", None),
        (RANDOM.integers(-9, 9, (40, 3)), "real", None),
        (RANDOM.integers(0, 200, (40, 3), dtype=np.uint8), "byte", 256),
    ],
)
def test_kind_follows_from_the_values(values: np.ndarray, kind: str, levels: int | None) -> None:
    found = spec(values)
    assert found.kind == kind
    if levels is not None:
        assert found.levels == levels
    assert found.reasons


def test_levels_reach_from_0_to_the_largest() -> None:
    assert spec(np.array([[1, 2], [5, 3]])).levels == 6


def test_columns_carry_their_own_kind_range_and_number_of_values() -> None:
    table = np.column_stack([np.arange(50) % 2, np.arange(50) * 2, UNIT[:, 0].repeat(2)[:50], -np.ones(50)])
    columns = spec(table).columns
    assert columns is not None
    assert [c.kind for c in columns] == [Kind.BINARY, Kind.COUNT, Kind.UNIT, Kind.REAL]
    assert [c.low for c in columns][:2] == [0, 0]
    assert [c.high for c in columns][:2] == [1, 98]
    assert [c.distinct for c in columns] == [len(np.unique(column.astype(np.float32))) for column in table.T]


def test_mixed_columns_are_real_and_the_discrete_ones_are_named_in_a_warning() -> None:
    table = np.column_stack([np.arange(40) % 2, UNIT[:, 0], UNIT[:, 1] - 0.5])
    found = spec(table)
    assert found.kind is Kind.REAL
    (warning,) = found.warnings
    assert warning.startswith("a density on discrete columns can grow without bound: column1;")
    assert "--likelihood mixed" in warning
    assert any("column1" in reason for reason in found.reasons)


def test_a_warning_names_at_most_five_columns() -> None:
    table = np.column_stack([np.arange(40)[:, None] % 2 + np.zeros((40, 8)), UNIT])
    assert ": column1, column2, column3, column4, column5 and 3 more;" in spec(table).warnings[0]


def test_positive_and_real_columns_mix_to_real_without_a_warning() -> None:
    found = spec(np.column_stack([UNIT[:, 0] + 1, UNIT[:, 1] - 0.5]))
    assert found.kind is Kind.REAL
    assert found.warnings == ()


def test_a_constant_column_is_warned_of_where_the_likelihood_is_a_density() -> None:
    found = spec(np.column_stack([UNIT[:, 0] - 0.5, np.full(40, 0.3)]))
    assert "column2" in found.warnings[0]
    assert "--likelihood mixed" not in found.warnings[0]  # it would be a density there as well


def test_small_and_large_counts_together_are_counts() -> None:
    assert spec(np.column_stack([np.arange(40) % 5, np.arange(40) * 3])).kind is Kind.COUNT


def test_bytes_divided_by_255_stay_unit_and_are_recognised() -> None:
    found = spec(RANDOM.integers(0, 256, (20, 4, 4)).astype(np.float32) / 255)
    assert found.kind is Kind.UNIT
    assert any("1/255" in reason for reason in found.reasons)


def test_fractions_are_not_taken_for_bytes_divided_by_255() -> None:
    assert not any("1/255" in reason for reason in spec(RANDOM.random((20, 4, 4))).reasons)


def test_images_of_two_byte_levels_are_pointed_out() -> None:
    found = spec((RANDOM.integers(0, 2, (20, 4, 4)) * 255).astype(np.uint8))
    assert found.kind is Kind.BYTE
    assert any("0 and 255" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("kind", "bad", "words"),
    [
        ("count", -1.0, "column2.*-1"),
        ("count", 0.5, "column2.*not integers"),
        ("binary", 2.0, "column2"),
        ("byte", 256.0, "column2"),
        ("unit", 1.5, "column2"),
        ("positive", 0.0, "column2"),
        ("levels", -2.0, "column2"),
    ],
)
def test_a_given_kind_that_values_contradict_is_refused_with_the_column(kind: str, bad: float, words: str) -> None:
    with pytest.raises(DataError, match=words):
        spec(np.array([[1.0, bad], [1.0, 1.0]]), kind)


def test_a_given_kind_that_images_contradict_is_refused() -> None:
    with pytest.raises(DataError, match="images"):
        spec(np.full((3, 4, 4), 7), "binary")


def test_a_given_kind_wins_over_the_inferred_one() -> None:
    found = spec(RANDOM.integers(1, 9, (20, 3)), "count")
    assert found.kind is Kind.COUNT
    assert found.reasons == ("kind count is asked for",)


def test_integer_images_called_real_are_flagged() -> None:
    assert spec(RANDOM.integers(0, 99, (20, 4, 4)), "real").warnings == ("density on the raw grid",)


def test_a_misspelt_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'binary'"):
        spec(UNIT, "binry")


def test_values_that_vanish_in_single_precision_are_not_called_positive() -> None:
    assert spec(np.array([[1e-60, 2.5], [1.5, 3.5]])).kind is not Kind.POSITIVE
