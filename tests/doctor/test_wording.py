"""How numbers are written."""

from __future__ import annotations

import math

import pytest

from nelbo.doctor.wording import bits, count, nats, percent, plain, signed


@pytest.mark.parametrize(
    ("value", "text"),
    [(-84.256, "−84.26"), (0.0, "0.00"), (-3103.21, "−3,103.2"), (123456.7, "123,457"), (None, "–")],
)
def test_nats_keep_the_digits_that_help(value: float | None, text: str) -> None:
    assert nats(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_said_in_words(value: float) -> None:
    assert {nats(value), bits(value), plain(value), percent(value), signed(value)} == {"not finite"}


def test_a_difference_carries_its_sign() -> None:
    assert (signed(1.5), signed(-1.5), signed(0.0)) == ("+1.50", "−1.50", "0.00")


def test_percentages_never_part_from_their_sign() -> None:
    assert percent(0.256) == "26\u00a0%"
    assert percent(0.0123) == "1.2\u00a0%"


def test_counts_agree_with_their_noun() -> None:
    assert (count(1, "row"), count(2000, "row"), count(2, "class", "classes")) == ("1 row", "2,000 rows", "2 classes")
