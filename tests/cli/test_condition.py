"""`--condition label` from training to samples: every command of a conditioned run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import TINY, read_rows, refuse, succeed, write_table


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("condition") / "digits"
    succeed("train", "digits", "--condition", "label", "--prior", "conditional", *TINY, "--run", folder)
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("condition")
    options = ("--label", "class", "--condition", "label", "--prior", "conditional", *TINY)
    succeed("train", write_table(home / "people.csv"), *options, "--run", home / "run")
    return home / "run"


def test_it_is_evaluated_given_the_label_without_baselines_that_are_not(digits: Path) -> None:
    found = json.loads(succeed("evaluate", digits, "--samples", 5, "--json").out)
    assert found["baselines"] == []
    assert any("given the label" in word for word in found["warnings"])
    assert found["kl"] is not None


def test_samples_are_of_all_labels_in_turn_one_a_column(digits: Path, tmp_path: Path) -> None:
    succeed("sample", digits, "-n", 25, "-o", tmp_path / "s.npz")
    assert np.load(tmp_path / "s.npz")["label"].tolist() == [str(i % 10) for i in range(25)]
    succeed("sample", digits, "-n", 30, "-o", tmp_path / "s.png")
    with Image.open(tmp_path / "s.png") as picture:
        assert picture.size == (2 + 10 * 66, 2 + 3 * 66)


def test_samples_of_one_label_are_what_its_turns_would_be(table: Path, tmp_path: Path) -> None:
    succeed("sample", table, "-n", 6, "-o", tmp_path / "all.csv")
    succeed("sample", table, "-n", 6, "--label", "odd", "-o", tmp_path / "odd.csv")
    both, odd = read_rows(tmp_path / "all.csv"), read_rows(tmp_path / "odd.csv")
    assert [row["label"] for row in both] == ["even", "odd"] * 3
    assert [row["label"] for row in odd] == ["odd"] * 6
    assert both[1::2] == odd[1::2]  # the same noise, the same label
    assert both[::2] != odd[::2]
    assert "did you mean 'odd'" in refuse("sample", table, "--label", "od")


def test_a_run_without_a_condition_has_no_labels_to_ask_for(table_run: Path) -> None:
    assert "train one with --condition label" in refuse("sample", table_run, "--label", "odd")


def test_other_data_need_their_labels(table: Path, tmp_path: Path) -> None:
    other = write_table(tmp_path / "others.csv", rows=8, seed=1)
    succeed("encode", table, other, "-o", tmp_path / "codes.csv")
    succeed("reconstruct", table, other, "-o", tmp_path / "r.csv")
    lines = [line.rpartition(",")[0] for line in other.read_text().splitlines()]
    other.write_text("\n".join(lines))
    assert "'others' holds no labels" in refuse("encode", table, other, "-o", tmp_path / "codes.csv")


def test_the_label_changes_the_codes(table: Path, tmp_path: Path) -> None:
    other = write_table(tmp_path / "others.csv", rows=8)
    succeed("encode", table, other, "-o", tmp_path / "a.csv")
    swapped = other.read_text().replace("even", "x").replace("odd", "even").replace("x", "odd")
    other.write_text(swapped)
    succeed("encode", table, other, "-o", tmp_path / "b.csv")
    a, b = read_rows(tmp_path / "a.csv"), read_rows(tmp_path / "b.csv")
    assert all(one["z1"] != two["z1"] for one, two in zip(a, b, strict=True))


@pytest.mark.parametrize("name", ["digits", "table"])
def test_the_report_is_written_and_says_so(name: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(name)
    succeed("report", run)
    page = (run / "report.html").read_text()
    assert "Labels were not used" not in page
    assert "given the label" in page


def test_a_run_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    source = write_table(tmp_path / "people.csv")
    options = ("--label", "class", "--condition", "label", "--hidden", 8, "--latent", 2, "--threads", 1)
    succeed("train", source, *options, "--epochs", 3, "--time-limit", "0.000001s", "--run", tmp_path / "run")
    said = succeed("train", "--resume", tmp_path / "run", "--json").out
    assert json.loads(said)["baselines"] == []


def test_a_prior_is_fitted_afterwards_under_the_condition(digits: Path, tmp_path: Path) -> None:
    words = ("--prior", "flow:transforms=1,hidden=8", "-o", tmp_path / "new", "--epochs", 1, "--json")
    assert json.loads(succeed("fit-prior", digits, *words).out)["n"] == 180
    succeed("sample", tmp_path / "new", "-n", 3, "--label", "4", "-o", tmp_path / "s.npy")


def test_what_does_not_go_together_is_refused() -> None:
    assert "--condition label" in refuse("train", "digits", "--prior", "conditional", *TINY)
    assert "--prior vamp cannot" in refuse("train", "digits", "--prior", "vamp", "--condition", "label", *TINY)
    assert "should be 'none' or 'label'" in refuse("train", "digits", "--condition", "labels", *TINY)
