"""The table of benchmarks is the one its records make."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path

import pytest

HOME = Path(__file__).resolve().parent.parent
RECORDS = sorted((HOME / "benchmarks" / "records").glob("*.json"))


def test_the_table_is_made_from_the_records() -> None:
    spec = importlib.util.spec_from_file_location("table", HOME / "benchmarks" / "table.py")
    assert spec is not None
    assert spec.loader is not None
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    assert (HOME / "docs" / "benchmarks.md").read_text() == table.document()


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_where_its_figures_come_from(path: Path) -> None:
    record = json.loads(path.read_text())
    assert {"commit", "date", "machine", "versions", "threads", "figures"} <= set(record)
    assert not record["commit"].endswith("+"), "recorded with changes that are in no commit"


def test_there_are_records() -> None:
    assert {"evaluation", "startup", "throughput"} <= {path.stem for path in RECORDS}


def test_a_record_grows_while_its_circumstances_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HOME / "benchmarks")
    outcome = importlib.import_module("outcome")
    ratio = importlib.import_module("ratios").Ratio(1.0, 0.9, 1.1)
    monkeypatch.setattr(outcome, "RECORDS", tmp_path)

    def names(code: str, *measured: str) -> list[str]:
        monkeypatch.setattr(outcome, "code", lambda: code)
        record = outcome.Record({"benchmark": "speed", "date": "today", "commit": "c"}, keep=True)
        for name in measured:
            record.add(outcome.Measured(name, ratio, 0.94, {}))
        return [figure["name"] for figure in json.loads((tmp_path / "speed.json").read_text())["figures"]]

    assert names("one", "a", "b") == ["a", "b"]
    assert names("one", "c", "a") == ["b", "c", "a"]
    assert names("other", "d") == ["d"]
