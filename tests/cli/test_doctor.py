"""`nelbo doctor`: what it prints, keeps and exits with; and the pre-flight of `nelbo train`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import TINY, call, refuse, succeed, write_table

pytestmark = pytest.mark.usefixtures("_plain_report")


def spoilt(path: Path) -> Path:
    lines = write_table(path).read_text().splitlines()
    path.write_text("\n".join([f"{lines[0]},still", *(f"{line},1" for line in lines[1:])]) + "\n")
    return path


def test_a_run_is_examined_and_what_was_found_is_kept(copied: Path) -> None:
    outcome = call("doctor", copied, "--json")
    content = json.loads(outcome.out)
    assert outcome.status == (0 if content["healthy"] else 3)
    assert json.loads((copied / "doctor.json").read_text()) == content
    # Two epochs are too few, and somebody who sees it is told what to type.
    assert not content["healthy"]
    assert any(found["steps"] and found["steps"][0]["command"].startswith("nelbo ") for found in content["findings"])


def test_data_are_examined_for_people(tmp_path: Path) -> None:
    outcome = call("doctor", spoilt(tmp_path / "people.csv"), "--label", "class")
    assert outcome.status == 3
    assert outcome.out.startswith("1. Columns that never change (warning, constant-column)")
    command = next(line.strip() for line in outcome.out.splitlines() if line.strip().startswith("nelbo train"))
    assert command.endswith("--drop still")


def test_data_without_a_fault_are_healthy(tmp_path: Path) -> None:
    source = write_table(tmp_path / "people.csv", rows=400)
    content = json.loads(succeed("doctor", source, "--label", "class", "--json").out)
    assert content["healthy"]
    assert {found["severity"] for found in content["findings"]} <= {"remark"}


def test_what_is_for_data_is_refused_for_a_run(copied: Path) -> None:
    assert "--kind is for data" in refuse("doctor", copied, "--kind", "real")


def test_nothing_that_can_be_read_is_refused_in_a_sentence() -> None:
    assert "no-such" in refuse("doctor", "no-such")


def test_a_training_is_told_what_may_go_wrong_and_goes_on(tmp_path: Path) -> None:
    source = spoilt(tmp_path / "people.csv")
    words = ("train", source, "--label", "class", *TINY, "--run", tmp_path / "run")
    told = succeed(*words, "--dry-run").err
    assert "warning: Columns that never change" in told
    assert "--drop still" in told
    assert "Columns that never change" not in succeed(*words, "--dry-run", "--no-preflight").err
