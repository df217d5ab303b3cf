"""How often, and for how long: what the command line writes, and what it refuses."""

from __future__ import annotations

import pytest

from nelbo.errors import ConfigError
from nelbo.registry import parse_quantity
from nelbo.train.rhythm import Rhythm, parse_duration, parse_rhythm


@pytest.mark.parametrize(
    ("text", "rhythm"),
    [
        ("500steps", Rhythm(steps=500)),
        ("1step", Rhythm(steps=1)),
        ("1epoch", Rhythm(epochs=1)),
        (" 3epochs ", Rhythm(epochs=3)),
        ("90s", Rhythm(seconds=90.0)),
        ("1.5min", Rhythm(seconds=90.0)),
        ("2h", Rhythm(seconds=7200.0)),
    ],
)
def test_a_rhythm_is_read_with_its_unit(text: str, rhythm: Rhythm) -> None:
    assert parse_rhythm("--log-every", text) == rhythm


@pytest.mark.parametrize("text", ["", "500", "often", "0steps", "-1epoch", "1.5steps", "infs", "nanmin", "s"])
def test_what_is_no_rhythm_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--log-every .*no rhythm; write e\.g\. 500steps, 1epoch or 10min"):
        parse_rhythm("--log-every", text)


def test_a_bare_number_is_a_quantity_only_where_no_unit_is_allowed() -> None:
    assert parse_quantity("0.2", ("", "steps")) == (0.2, "")
    assert parse_quantity("0.2", ("steps",)) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5min", 90), ("2h", 7200), (" 10min ", 600), ("0.5s", 0.5)],
)
def test_durations_are_read_with_their_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


def test_no_limit_is_no_limit() -> None:
    assert parse_duration(None) is None


@pytest.mark.parametrize("text", ["", "soon", "-5", "0", "5 days", "min", "nan"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write e\.g\. 90s, 10min or 2h"):
        parse_duration(text)
