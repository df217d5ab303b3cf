"""One tiny run that every test of the command line shares, and a way to call the commands."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import nelbo
from nelbo.cli import main
from nelbo.runs import Run


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    status: int
    out: str
    err: str


def call(*arguments: object) -> Outcome:
    """Run `nelbo ARGUMENTS` in this process."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["nelbo", *map(str, arguments)]
    status = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as ending:
        status = int(ending.code or 0)
    finally:
        sys.argv = before
    return Outcome(status, out.getvalue(), err.getvalue())


def succeed(*arguments: object) -> Outcome:
    """Run a command that must end well."""
    outcome = call(*arguments)
    assert outcome.status == 0, outcome.err
    return outcome


def refuse(*arguments: object) -> str:
    """Run a command that must be refused as bad input; the sentence it says."""
    outcome = call(*arguments)
    assert outcome.status == 2, outcome
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    *before, sentence = outcome.err.splitlines()
    assert sentence.startswith("error: "), outcome.err
    assert not any(line.startswith("error: ") for line in before)
    return sentence.removeprefix("error: ")


def write_table(path: Path, rows: int = 60, seed: int = 0) -> Path:
    """Two correlated real columns and a class."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=rows)
    second = 3 * first + rng.normal(size=rows)
    lines = [
        f"{a:.6f},{b:.6f},{'even' if i % 2 == 0 else 'odd'}" for i, (a, b) in enumerate(zip(first, second, strict=True))
    ]
    path.write_text("\n".join(["height,weight,class", *lines]) + "\n")
    return path


def read_rows(path: Path | str) -> list[dict[str, str]]:
    """The rows of a .csv file, by column name."""
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def environment() -> dict[str, str]:
    """For a process of its own: it finds this nelbo, installed or not."""
    path = filter(None, (str(Path(nelbo.__file__).parents[1]), os.environ.get("PYTHONPATH", "")))
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


TINY = ("--epochs", 2, "--hidden", 16, "--latent", 2, "--threads", 1)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits; not to be changed."""
    folder = tmp_path_factory.mktemp("shared") / "digits"
    succeed("train", "digits", *TINY, "--run", folder)
    return folder


@pytest.fixture(scope="session")
def table_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a table with a class; not to be changed."""
    home = tmp_path_factory.mktemp("table")
    source = write_table(home / "people.csv")
    succeed("train", source, "--label", "class", *TINY, "--run", home / "people")
    return home / "people"


@pytest.fixture
def copied(digits_run: Path, tmp_path: Path) -> Path:
    """A copy of the run on digits, to be spoilt."""
    return Path(shutil.copytree(digits_run, tmp_path / "copied"))


@pytest.fixture
def _plain_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that train but do not look at the report: a short one."""

    def write(run: Run, job: object = None) -> Path:
        run.report_file.write_text("<html></html>")
        return run.report_file

    monkeypatch.setattr("nelbo.report.write_report", write)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in a folder of its own: a command without --run writes below the current one."""
    monkeypatch.chdir(tmp_path)
