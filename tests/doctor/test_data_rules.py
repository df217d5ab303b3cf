"""What is found in data: planted faults, and nothing in healthy ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nelbo.doctor.data_rules import DATA_RULES, near_copies
from nelbo.doctor.finding import Severity

from .conftest import Array, case_of, healthy_rows

RNG = np.random.default_rng(0)


def found(x: Array, **settings: Any) -> dict[str, Severity]:
    case = case_of(x.astype(np.float32), **settings)
    return {one.key: one.severity for rule in DATA_RULES if (one := rule(case)) is not None}


def warned(x: Array, **settings: Any) -> set[str]:
    return {key for key, severity in found(x, **settings).items() if severity >= Severity.WARNING}


@pytest.mark.parametrize("seed", range(5))
def test_healthy_rows_raise_nothing(seed: int) -> None:
    assert found(healthy_rows(seed=seed)) == {}


def test_a_constant_column_is_found() -> None:
    x = healthy_rows()
    x[:, 2] = 1.5
    assert warned(x) == {"constant-column"}


def test_columns_on_unlike_scales_matter_only_unscaled() -> None:
    x = healthy_rows() * 10.0 ** np.arange(8)
    assert "unscaled-columns" in warned(x, scaling="none")
    assert found(x) == {}
    assert found(healthy_rows(), scaling="none") == {}


def test_values_far_from_nought_are_unscaled() -> None:
    assert "unscaled-columns" in warned(healthy_rows() + 1000.0, scaling="none")


def test_repeated_rows_are_found_and_come_with_a_split_that_parts_no_copies() -> None:
    x = np.repeat(healthy_rows(60), 6, 0)
    assert {"duplicated-rows", "leakage"} <= warned(x)
    assert "leakage" not in found(x, split="copies")
    assert "duplicated-rows" not in warned(x, split="copies")


def test_copies_across_the_split_alone_are_leakage_only() -> None:
    x = healthy_rows(300)
    x[-60:] = x[:60]  # the last rows are the test rows
    assert warned(x, split="sequential", test=0.2) == {"leakage"}


def test_near_copies_across_the_split_are_leakage() -> None:
    x = healthy_rows(300)
    x[-60:] = x[:60] + 1e-4 * RNG.normal(size=(60, 8))
    assert warned(x, split="sequential", test=0.2) == {"leakage"}


@pytest.mark.parametrize("dimension", [1, 2, 3, 6])
def test_without_copies_near_neighbours_are_as_frequent_as_the_dimension_says(dimension: int) -> None:
    shares = []
    for seed in range(4):
        z = np.random.default_rng(seed).uniform(size=(2000, dimension))
        flat = np.random.default_rng(9).normal(size=(dimension, 8))
        shares.append(near_copies(case_of((z @ flat).astype(np.float32))))
    share, expected, error = np.mean(shares, 0)
    assert abs(share - expected) < 4 * error
    assert (share > 0.05) == (dimension == 1)


def test_extreme_values_are_found_under_a_gaussian_only() -> None:
    x = healthy_rows()
    x[:, 1] = np.random.default_rng(1).standard_t(1, size=len(x))
    assert warned(x) == {"heavy-tails"}
    assert "heavy-tails" not in found(x, likelihood="student-t")


def test_whole_numbers_under_a_density_are_found() -> None:
    x = np.random.default_rng(2).poisson(4.0, size=(300, 5)).astype(float)
    assert "wrong-likelihood" in warned(x, kind="real", likelihood="gaussian:sigma=shared")
    assert "wrong-likelihood" in warned(x, transform="density", likelihood="gaussian:sigma=shared")
    assert "wrong-likelihood" not in warned(np.vstack([x, [40.0] * 5]), likelihood="negative-binomial")


def test_few_columns_with_few_values_repeat_by_their_nature() -> None:
    x = (healthy_rows(columns=4) > 0).astype(float)
    assert set(found(x)) == {"duplicated-rows", "leakage"}
    assert warned(x) == set()


def test_many_columns_with_few_values_do_not_repeat_by_their_nature() -> None:
    rows = np.random.default_rng(0).integers(0, 17, (150, 40)).astype(float)
    assert warned(np.repeat(rows, 3, axis=0)) >= {"duplicated-rows"}
