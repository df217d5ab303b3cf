"""The table of benchmarks is the one its records make."""

from __future__ import annotations

import ast
import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

HOME = Path(__file__).resolve().parent.parent
RECORDS = sorted((HOME / "benchmarks" / "records").glob("*.json"))


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(HOME / "benchmarks")
    return importlib.import_module(name)


def test_the_table_is_made_from_the_records(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (HOME / "docs" / "benchmarks.md").read_text() == benchmark("table", monkeypatch).document()


def test_every_planted_mistake_changes_one_place_of_a_source_and_leaves_it_python(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for mistake in benchmark("mistakes", monkeypatch).MISTAKES:
        source = (HOME / "src" / "nelbo" / mistake.file).read_text()
        assert source.count(mistake.right) == 1, mistake.name
        ast.parse(source.replace(mistake.right, mistake.wrong))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_says_where_its_figures_come_from(path: Path) -> None:
    record = json.loads(path.read_text())
    assert {"commit", "date", "machine", "versions", "threads", "figures"} <= set(record)
    assert not record["commit"].endswith("+"), "recorded with changes that are in no commit"


def test_there_are_records() -> None:
    assert {"evaluation", "startup", "throughput"} <= {path.stem for path in RECORDS}


def test_a_record_grows_while_its_circumstances_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = benchmark("outcome", monkeypatch)
    ratio = benchmark("ratios", monkeypatch).Ratio(1.0, 0.9, 1.1)
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
