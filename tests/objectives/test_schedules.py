"""Warm-ups: their values by hand, and everything that is refused."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special

from nelbo.errors import ConfigError
from nelbo.objectives import parse_schedule
from nelbo.objectives.schedules import Constant, Cyclic, Linear, Schedule, Sigmoid

TOTAL, PER_EPOCH = 1000, 50


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Constant()),
        ("linear:0.2", Linear(200)),
        ("linear:1.0", Linear(1000)),
        ("linear:1", Linear(1000)),
        ("linear:10epochs", Linear(500)),
        ("linear:1epoch", Linear(50)),
        ("linear:0.5epochs", Linear(25)),
        ("linear:300steps", Linear(300)),
        ("linear:1step", Linear(1)),
        ("linear:20epochs", Linear(1000)),
        ("linear:1e-9", Linear(1)),
        ("sigmoid:0.2", Sigmoid(200)),
        ("sigmoid:10epochs", Sigmoid(500)),
        ("cyclic:0.8", Cyclic(800, 4)),
        ("cyclic:10epochs,cycles=2", Cyclic(500, 2)),
    ],
)
def test_a_warmup_is_read_as_written(text: str, expected: object) -> None:
    assert parse_schedule(text, TOTAL, PER_EPOCH) == expected


def test_no_warmup_is_the_final_weight_throughout() -> None:
    assert [Constant()(step) for step in (0, 1, 10**6)] == [1, 1, 1]
    assert Constant().settled_from == 0


def test_a_linear_warmup_rises_evenly_from_zero_and_stays() -> None:
    assert [Linear(4)(step) for step in range(7)] == [0, 0.25, 0.5, 0.75, 1, 1, 1]


def test_a_sigmoid_warmup_is_a_logistic_curve_that_meets_both_ends() -> None:
    curve = scipy.special.expit(np.linspace(-6, 6, 41))
    expected = (curve - curve[0]) / (curve[-1] - curve[0])
    np.testing.assert_allclose([Sigmoid(40)(step) for step in range(41)], expected, atol=1e-12)
    assert Sigmoid(40)(20) == pytest.approx(0.5)


def test_a_cyclic_warmup_rises_in_the_first_half_of_each_cycle() -> None:
    # Fu et al. (2019), eq. 6-7, R = 1/2: two cycles of eight steps.
    expected = [0, 0.25, 0.5, 0.75, 1, 1, 1, 1] * 2 + [1, 1, 1]
    assert [Cyclic(16, 2)(step) for step in range(19)] == expected


@pytest.mark.parametrize(
    "schedule", [Constant(), Linear(7), Linear(1), Sigmoid(9), Sigmoid(1), Cyclic(20, 3), Cyclic(5, 4)]
)
def test_every_warmup_stays_between_0_and_1_and_ends_at_its_final_value(schedule: Schedule) -> None:
    assert all(0 <= schedule(step) <= 1 for step in range(60))
    assert all(schedule(step) == 1 for step in range(schedule.settled_from, 60))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("linaer:0.2", "unknown warm-up 'linaer'; did you mean 'linear'"),
        ("", "names nothing"),
        ("linear", "does not say how long; write e.g. --warmup linear:0.2 or linear:10epochs"),
        ("cyclic:cycles=3", "does not say how long; write e.g. --warmup cyclic:0.2 or cyclic:10epochs"),
        ("linear:0", "a share of the run between 0 and 1"),
        ("linear:-0.5", "a share of the run between 0 and 1"),
        ("linear:1.5", "a share of the run between 0 and 1"),
        ("linear:10", "a number of epochs or steps with its unit"),
        ("linear:nan", "a share of the run between 0 and 1"),
        ("linear:ten", "a share of the run between 0 and 1"),
        ("linear:tenepochs", "with its unit (10epochs, 500steps)"),
        ("linear:0epochs", "with its unit (10epochs, 500steps)"),
        ("linear:infepochs", "with its unit (10epochs, 500steps)"),
        ("linear:10years", "with its unit (10epochs, 500steps)"),
        ("linear:0.2,cycles=3", "options it does not know"),
        ("linear:0.2,cycles=4", "options it does not know"),
        ("linear:0.2,power=2", "options it does not know"),
        ("cyclic:0.2,cycle=2", "options it does not know"),
        ("cyclic:0.2,cycles=0", "cycles must be a whole number, 1 or more"),
        ("cyclic:0.2,cycles=1.5", "cycles must be a whole number, 1 or more"),
        ("linear:0.2,0.3", "twice"),
        ("linear:21epochs", "takes 1050 steps but the run has only 1000"),
        ("linear:1001steps", "beta would never reach its final value; shorten it"),
        ("cyclic:1e6epochs", "so beta would never reach its final value"),
    ],
)
def test_what_cannot_be_a_warmup_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_schedule(text, TOTAL, PER_EPOCH)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
