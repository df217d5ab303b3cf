"""`nelbo train --tape`: what it writes and says, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nelbo.storage import read_lines

from .conftest import TINY, call, refuse, succeed

pytestmark = pytest.mark.usefixtures("_plain_report")


def test_the_tape_of_a_run_lies_beside_its_metrics_and_its_findings_are_said() -> None:
    plain = json.loads(succeed("train", "digits", *TINY, "--run", "plain", "--json").out)
    outcome = succeed("train", "digits", *TINY, "--run", "taped", "--tape-every", "5steps", "--json")
    steps = [line["step"] for line in read_lines(Path("taped/tape.jsonl"))]
    assert steps == list(range(0, 5 * len(steps), 5))
    assert len(steps) > 2
    assert "tape: no findings\n" in outcome.err
    assert f"tape: {Path('taped/tape.jsonl')}" in outcome.err
    taped = json.loads(outcome.out)
    assert taped["log_likelihood"] == plain["log_likelihood"]
    assert "tape" not in Path("taped/config.json").read_text()
    assert call("train", "--resume", "--run", "taped", "--tape").status == 0


def test_a_compiled_step_and_a_word_that_is_no_rhythm_are_refused() -> None:
    assert "--compile makes one; leave one of them out" in refuse("train", "digits", *TINY, "--tape", "--compile")
    assert "--tape-every often is no rhythm" in refuse("train", "digits", *TINY, "--tape-every", "often")
    assert not Path("runs").exists()
