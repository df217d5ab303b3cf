"""`nelbo watch`: every state that a run can be found in."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nelbo.cli.watch import BLOCKS, sparkline
from nelbo.runs import Run
from nelbo.runs.snapshot import TAIL, snapshot

from .conftest import call, refuse, succeed


@pytest.fixture
def unfinished(copied: Path) -> Path:
    """A run whose training goes on: one epoch of two is done."""
    shutil.rmtree(copied / "model")
    (copied / "state.json").unlink()
    first = (copied / "metrics.jsonl").read_text().splitlines()[0]
    (copied / "metrics.jsonl").write_text(first + "\n")
    (copied / "steps.jsonl").write_text("")
    return copied


def aged(folder: Path, seconds: float) -> None:
    """Make every file of a run as old as that."""
    then = time.time() - seconds
    for file in folder.rglob("*"):
        os.utime(file, (then, then))


def test_a_frame_shows_the_last_figures(digits_run: Path) -> None:
    out = " ".join(succeed("watch", digits_run, "--once").out.split())  # lines are folded to the terminal
    last = Run(digits_run).metrics()[-1]
    for word in ("complete: all", "epoch 2/2", f"{last['train']['bound']:.2f}", f"{last['validation']['kl']:.2f}"):
        assert word in out
    assert "of 2 latents active" in out
    assert "gradient norms: posterior" in out


def test_json_is_the_same_in_numbers(digits_run: Path) -> None:
    found = json.loads(succeed("watch", digits_run, "--json").out)
    records = Run(digits_run).metrics()
    assert found["train"] == records[-1]["train"]
    assert found["curves"]["validation"]["bound"] == [record["validation"]["bound"] for record in records]
    assert found["best_epoch"] == min(records, key=lambda record: record["validation"]["loss"])["epoch"]
    assert (found["status"], found["step"], found["seconds_left"]) == ("complete", found["steps"], None)


def test_what_is_left_is_at_the_pace_so_far(unfinished: Path) -> None:
    found, record = snapshot(Run(unfinished)), Run(unfinished).metrics()[0]
    assert (found.status, found.epoch, found.epochs) == ("training", 1, 2)
    assert found.steps == 2 * record["step"]
    assert found.seconds_left == pytest.approx(record["seconds"])


@pytest.mark.parametrize(("age", "status"), [(1, "training"), (45, "training"), (3600, "silent")])
def test_a_run_that_nobody_writes_is_said_to_be_silent(unfinished: Path, age: float, status: str) -> None:
    aged(unfinished, age)
    found = snapshot(Run(unfinished))
    assert found.status == status
    assert found.age == pytest.approx(age, abs=20)


def test_slow_records_are_not_silence(unfinished: Path) -> None:
    first = json.loads((unfinished / "metrics.jsonl").read_text())
    lines = [json.dumps({**first, "epoch": epoch, "seconds": 1000.0 * epoch}) for epoch in (1, 2)]
    (unfinished / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    aged(unfinished, 3600)
    assert snapshot(Run(unfinished)).status == "training"


def test_a_run_that_goes_on_after_its_end_is_not_complete(copied: Path) -> None:
    last = Run(copied).metrics()[-1]
    with (copied / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({**last, "epoch": 3, "step": last["step"] + 1}) + "\n")
    assert snapshot(Run(copied)).status == "training"


def test_files_that_are_cut_off_at_any_place_are_read(unfinished: Path, digits_run: Path) -> None:
    for name in ("metrics.jsonl", "steps.jsonl"):
        whole = (digits_run / name).read_bytes()
        for length in range(0, len(whole), max(1, len(whole) // 9)):
            (unfinished / name).write_bytes(whole[:length])
            assert call("watch", unfinished, "--once").status == 0


def test_of_a_long_file_the_end_is_read(unfinished: Path) -> None:
    record = Run(unfinished).metrics()[0]
    lines = [json.dumps({"step": step, "seconds": 1.0, "train": record["train"]}) for step in range(1, 3_001)]
    (unfinished / "steps.jsonl").write_text("\n".join(lines) + '\n{"step": 3001, "se')
    assert (unfinished / "steps.jsonl").stat().st_size > 2 * TAIL
    assert snapshot(Run(unfinished)).step == 3_000


def test_before_the_first_record_it_is_starting(unfinished: Path) -> None:
    (unfinished / "metrics.jsonl").write_text("")
    assert "starting" in succeed("watch", unfinished, "--once").out


def test_a_folder_that_is_no_run_is_refused_once(tmp_path: Path) -> None:
    assert "is not a run" in refuse("watch", tmp_path / "nothing", "--once")


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterator[None]], None]:
    """Each pause between two looks is the next thing that happens."""

    def tell(events: Iterator[None]) -> None:
        monkeypatch.setattr("nelbo.cli.watch.time.sleep", lambda _: next(events))

    return tell


def test_it_waits_for_the_run_follows_it_and_ends_with_it(
    unfinished: Path, digits_run: Path, tmp_path: Path, story: Callable[[Iterator[None]], None]
) -> None:
    folder, happened = tmp_path / "later", []

    def events() -> Iterator[None]:
        happened.append("nothing there")
        yield
        shutil.copytree(unfinished, folder)
        (folder / "config.json").write_text("{")
        happened.append("a config that is cut off")
        yield
        shutil.copy(unfinished / "config.json", folder / "config.json")
        happened.append("a run")
        yield
        shutil.copytree(digits_run, folder, dirs_exist_ok=True)
        happened.append("complete")
        yield

    story(events())
    assert "complete: all" in succeed("watch", folder).out
    assert happened[-1] == "complete"


def test_ctrl_c_leaves_cleanly(unfinished: Path, story: Callable[[Iterator[None]], None]) -> None:
    def events() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    story(events())
    outcome = call("watch", unfinished)
    assert outcome.status == 0
    assert "stopped" not in outcome.err


def test_a_curve_goes_from_its_lowest_to_its_highest_value() -> None:
    assert sparkline([float(value) for value in range(8)]) == BLOCKS
    assert sparkline([1.0, None, 1.0, math.nan]) == "▁ ▁ "
    assert len(sparkline([float(value) for value in range(100)])) == 40
    assert sparkline([None]) == sparkline([]) == ""
