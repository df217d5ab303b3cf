"""`recipes`, `datasets`, `runs`, `report`, `cite`."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from nelbo.recipes import RECIPES

from .conftest import refuse, succeed

ENTRY = re.compile(r"@(\w+)\{(\w+),\n((?:  \w+ = \{.*\},?\n)+)\}")


def entries(text: str) -> dict[str, str]:
    """BibTeX entries by key; nothing else may stand between them."""
    assert ENTRY.sub("", text).strip() == ""
    return {found[2]: found[3] for found in ENTRY.finditer(text)}


def test_every_recipe_is_listed_with_its_source() -> None:
    listed = json.loads(succeed("recipes", "--json").out)["recipes"]
    assert {each["name"] for each in listed} == set(RECIPES)
    assert {each["name"]: each["citation"] for each in listed}["vae"] == "Kingma & Welling (2014)"
    table = succeed("recipes").out
    assert all(name in table for name in RECIPES)


def test_data_sets_say_where_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NELBO_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    listed = {each["name"]: each for each in json.loads(succeed("datasets", "--json").out)["datasets"]}
    assert listed["digits"]["available"] is True
    assert listed["digits"]["rows"] == 1797
    assert listed["mnist"]["available"] is False
    assert "inside scikit-learn" in succeed("datasets").out
    assert "drawn by nelbo" in succeed("datasets").out


def test_runs_are_listed_with_their_test_figures(digits_run: Path) -> None:
    (found,) = json.loads(succeed("runs", digits_run.parent, "--json").out)["runs"]
    evaluation = json.loads((digits_run / "evaluation-test.json").read_text())
    assert found["run"] == str(digits_run)
    assert found["log_likelihood"] == evaluation["log_likelihood"]
    assert (found["source"], found["recipe"], found["latent"], found["epochs"]) == ("digits", "vae", 2, 2)
    assert found["state"] == "complete"
    assert "digits" in succeed("runs", digits_run.parent).out


def test_unfinished_and_damaged_runs_are_listed_as_such(copied: Path) -> None:
    shutil.rmtree(copied / "model")
    other = copied.with_name("other")
    other.mkdir()
    (other / "config.json").write_text("{")
    states = [each["state"] for each in json.loads(succeed("runs", copied.parent, "--json").out)["runs"]]
    assert states[0] == "unfinished"
    (copied / "state.json").write_text('{"stopped": "failed: the loss turned non-finite"}')
    assert json.loads(succeed("runs", copied.parent, "--json").out)["runs"][0]["state"] == "failed"
    assert states[1].startswith("damaged")


def test_no_runs_yet_is_no_error_but_a_missing_folder_is() -> None:
    assert "nelbo train digits" in succeed("runs").out
    assert "there is no folder 'experiments'" in refuse("runs", "experiments")


def test_the_report_is_written_anew_and_its_path_printed(copied: Path) -> None:
    (copied / "report.html").unlink()
    assert str(copied / "report.html") in succeed("report", copied).out
    assert (copied / "report.html").stat().st_size > 0


def test_citing_nothing_cites_the_software_alone() -> None:
    assert list(entries(succeed("cite").out)) == ["nelbo"]


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_every_recipe_can_be_cited(recipe: str) -> None:
    assert list(entries(succeed("cite", recipe).out)) == ["nelbo", RECIPES[recipe].citation]


def test_a_run_cites_what_it_is_made_of(digits_run: Path) -> None:
    found = entries(succeed("cite", digits_run).out)
    # The likelihood, the optimiser, the estimator of the likelihood, the baseline, the data.
    assert {"kingma2014", "salimans2017", "kingma2015", "burda2016", "tipping1999", "alpaydin1998"} <= set(found)
    assert "loaizaganem2019" not in found
    assert "1312.6114" in found["kingma2014"]


def test_a_misspelt_name_to_cite_gets_the_nearest() -> None:
    assert "did you mean 'linear-vae'" in refuse("cite", "liner-vae")
