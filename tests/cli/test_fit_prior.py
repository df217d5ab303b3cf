"""`nelbo fit-prior`: figures before and after, and a run that the other commands read."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import refuse, succeed


def test_it_prints_both_bounds_and_the_paired_gain(digits_run: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    said = succeed("fit-prior", digits_run, "--prior", "normal", "-o", new, "--epochs", 3).out
    assert "bound on 180 validation rows: " in said
    assert " before, " in said
    assert "paired over the rows" in said
    found = json.loads(succeed("evaluate", new, "--samples", 5, "--json").out)
    assert found["n"] == 180
    succeed("sample", new, "-n", 4, "-o", tmp_path / "s.npy")
    succeed("report", new)
    assert "complete already" in succeed("train", "--resume", new).err


def test_as_json_it_is_one_object(digits_run: Path, tmp_path: Path) -> None:
    words = ("--prior", "mixture:components=2", "-o", tmp_path / "new", "--epochs", 1, "--json")
    found = json.loads(succeed("fit-prior", digits_run, *words).out)
    assert found["run"] == str(tmp_path / "new")
    assert {"bound_before", "bound_after", "gain", "gain_standard_error", "n", "split"} <= set(found)


def test_what_cannot_be_fitted_is_one_sentence(digits_run: Path, tmp_path: Path) -> None:
    assert "nothing to fit" in refuse("fit-prior", digits_run, "--prior", "standard", "-o", tmp_path / "new")
    assert "is not a run" in refuse("fit-prior", tmp_path, "--prior", "normal", "-o", tmp_path / "new")
