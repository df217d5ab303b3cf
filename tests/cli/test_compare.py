"""`nelbo compare`."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from .conftest import TINY, read_rows, refuse, succeed


@pytest.fixture(scope="module")
def other_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "other"
    succeed("train", "digits", *TINY, "--latent", 3, "--run", folder)
    return folder


def test_differences_are_those_of_the_rows(digits_run: Path, other_run: Path) -> None:
    content = json.loads(succeed("compare", digits_run, other_run, "--samples", 20, "--json").out)
    for run, name in ((digits_run, "one.csv"), (other_run, "two.csv")):
        succeed("evaluate", run, "--samples", 20, "--per-row", name, "--no-baselines")
    one, two = (np.array([float(row["log_likelihood"]) for row in read_rows(name)]) for name in ("one.csv", "two.csv"))
    first, second = content["models"]
    assert first["log_likelihood"] == pytest.approx(one.mean())
    assert second["log_likelihood_difference"] == pytest.approx((two - one).mean())
    error = (two - one).std(ddof=1) / np.sqrt(len(one))
    assert second["log_likelihood_difference_standard_error"] == pytest.approx(error)
    assert second["log_likelihood_better_rows"] == pytest.approx((two > one).mean())
    assert content["n"] == len(one)


def test_a_run_beside_itself_differs_in_nothing(digits_run: Path) -> None:
    out = succeed("compare", digits_run, digits_run, "--samples", 5).out
    assert "better" not in out
    assert "worse" not in out
    assert "reference measure: probability mass" in out


def test_what_cannot_be_compared_is_refused(digits_run: Path, tmp_path: Path) -> None:
    assert "name two or more" in refuse("compare", digits_run)
    succeed("train", "digits", *TINY, "--binarize", "dynamic", "--run", tmp_path / "binary")
    assert "different reference measures" in refuse("compare", digits_run, tmp_path / "binary")
    assert "did you mean 'train'" in refuse("compare", digits_run, digits_run, "--split", "trian")


# Many runs.


@pytest.fixture(scope="module")
def binary_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared") / "binary"
    succeed("train", "digits", *TINY, "--binarize", "dynamic", "--run", folder)
    return folder


def test_what_differs_and_what_it_took_stand_beside_the_figures(
    digits_run: Path, other_run: Path, binary_run: Path, tmp_path: Path
) -> None:
    figure = tmp_path / "curves.svg"
    words = ("compare", digits_run, other_run, binary_run, "--samples", 2, "--figure", figure)
    content = json.loads(succeed(*words, "--json").out)
    assert [model["settings"] for model in content["models"]] == [{"latent": 2}, {"latent": 3}]
    for model, run in zip(content["models"], (digits_run, other_run), strict=True):
        evaluation = json.loads((run / "evaluation-test.json").read_text())
        assert (model["kl"], model["active_units"]) == (evaluation["kl"], evaluation["active_units"])
        assert (model["epochs"], model["seconds"]) == (2, json.loads((run / "state.json").read_text())["seconds"])
    assert "different reference measures" in content["not_comparable"][str(binary_run)]
    out = succeed(*words).out
    assert f"not compared: {binary_run}: " in out
    assert out.count(str(other_run)) == 1


def test_the_figure_is_a_file_of_its_own_with_a_line_for_each_run(
    digits_run: Path, other_run: Path, tmp_path: Path
) -> None:
    figure = tmp_path / "curves.svg"
    succeed("compare", digits_run, other_run, "--samples", 2, "--figure", figure)
    root = ElementTree.parse(figure).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = figure.read_text()
    assert "var(" not in text
    assert "currentColor" not in text
    written = {"".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {str(digits_run), str(other_run)} <= written
    assert "no .svg file" in refuse("compare", digits_run, other_run, "--figure", "curves.jpg")
