"""What is read from the course of a training, on courses whose shape is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nelbo.doctor.history import History
from report.runs import metrics, state


def history(validation: list[float], train: list[float] | None = None) -> History:
    return History(metrics(validation, train), state(validation))


def test_the_late_rise_of_a_straight_line_is_its_slope_times_the_epochs() -> None:
    found = history([0.5 * epoch for epoch in range(100)]).late_rise()
    assert found is not None
    assert found[0] == pytest.approx(0.5 * 19)
    assert found[1] == pytest.approx(19 / 79)


def test_a_course_of_one_over_time_has_the_share_that_calculus_gives() -> None:
    found = history([-1000.0 / epoch for epoch in range(1, 1001)]).late_rise()
    assert found is not None
    assert found[1] == pytest.approx((1 / 0.8 - 1) / (1 / 0.2 - 1), rel=0.1)


def test_a_logarithmic_course_has_the_share_that_calculus_gives() -> None:
    found = history([math.log(epoch) for epoch in range(1, 1001)]).late_rise()
    assert found is not None
    assert found[1] == pytest.approx(math.log(1 / 0.8) / math.log(1 / 0.2), rel=0.1)


def test_noise_around_a_level_is_no_rise() -> None:
    random = np.random.default_rng(0)
    level = [-100 + 50 * (1 - math.exp(-epoch / 3)) for epoch in range(200)]
    found = [history([y + random.normal() for y in level]).late_rise() for _ in range(100)]
    rises = sum(each is not None for each in found)
    assert rises <= 3  # one-sided three standard errors: one in 700 expected


def test_few_epochs_say_nothing() -> None:
    assert history([1.0, 2.0, 3.0]).late_rise() is None
    assert History([], {}).late_rise() is None
    assert History([], {}).fall() == 0
    assert History([], {}).best_epoch is None


def test_a_fall_is_measured_from_the_best_epoch_and_noise_is_none() -> None:
    course = [*np.linspace(-100, -80, 50), *np.linspace(-80, -90, 50)]
    assert history([float(y) for y in course]).fall() == pytest.approx(9, abs=0.6)
    random = np.random.default_rng(0)
    assert history([-80 + random.normal() for _ in range(100)]).fall() == 0


def test_the_gap_grows_from_the_best_epoch_on() -> None:
    validation = [*range(-20, -10), *range(-11, -21, -1)]
    train = [float(y) for y in range(-20, 0)]
    found = history([float(y) for y in validation], train)
    assert found.best_epoch == 10
    assert found.gap() == pytest.approx(-1 - -20)
    assert found.gap_growth() == pytest.approx(19 - 0)


@pytest.mark.parametrize("kept", ["beta", "capacity", "of an earlier version"])
def test_warm_up_is_left_out_of_the_course(kept: str) -> None:
    records = metrics([float(-abs(epoch - 20)) for epoch in range(100)])
    for record in records:
        weight = min(1.0, record["epoch"] / 60)
        record["weights"] = {"still": 2.0, kept: weight}
        if kept == "of an earlier version":
            del record["weights"]
            record["beta"] = weight
    assert History(records, {}).late_rise() is None
    assert History(records, {}).fall() > 0


def test_whether_the_loss_is_the_bound_is_read_off_the_figures() -> None:
    for added, same in ((0.0, True), (0.01, False)):
        records = metrics([-90.0, -80.0])
        for record in records:
            record["validation"]["loss"] += added
        assert History(records, {}).loss_is_bound is same
    del records[-1]["validation"]["bound"]
    assert not History(records, {}).loss_is_bound


def test_what_flattens_with_its_learning_rate_is_told_from_what_levels_off() -> None:
    still = [-100.0 / (1 + 0.05 * epoch) for epoch in range(101)]
    for course, rose in ((still, True), ([min(y, -40.0) for y in still], False)):
        records = metrics(course)
        for record in records:
            record["lr"] = 0.5 * (1 + math.cos(math.pi * record["epoch"] / 101))
        gained = History(records, {**state(course), "best_epoch": 101}).rise_before_decay()
        assert (gained > 1) == rose


def test_records_without_figures_are_gaps() -> None:
    records = metrics([-3.0, -2.0])
    records[0]["validation"] = {}
    records[1]["train"]["bound"] = math.nan
    found = History(records, {})
    assert np.isnan(found.curve("validation", "bound")[0])
    assert found.gap() is None
