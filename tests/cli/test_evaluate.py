"""`nelbo evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from .conftest import TINY, read_rows, refuse, succeed, write_table

KEYS = {
    "bound", "log_likelihood", "standard_error", "monte_carlo_error", "bits_per_dim", "reference_measure",
    "importance_samples", "split", "n", "active_units", "kl",
}  # fmt: skip


def test_json_holds_the_promised_figures(digits_run: Path) -> None:
    content = json.loads(succeed("evaluate", digits_run, "--samples", 50, "--json").out)
    assert set(content) >= KEYS
    assert content["log_likelihood"] >= content["bound"]
    assert content["importance_samples"] == 50
    assert (content["split"], content["n"]) == ("test", 180)
    assert content["bits_per_dim"] == pytest.approx(-content["log_likelihood"] / (64 * np.log(2)))
    assert content["reference_measure"] == "probability mass on levels 0..16 per pixel"


def test_rows_average_to_the_figures(digits_run: Path) -> None:
    content = json.loads(
        succeed("evaluate", digits_run, "--samples", 20, "--per-row", "rows.csv", "--split", "validation", "--json").out
    )
    rows = read_rows("rows.csv")
    assert len(rows) == content["n"]
    for name in ("bound", "log_likelihood"):
        assert np.mean([float(row[name]) for row in rows]) == pytest.approx(content[name])


def test_people_get_a_table_with_baselines(digits_run: Path) -> None:
    out = succeed("evaluate", digits_run, "--samples", 20).out
    assert "independent marginals" in out
    assert "pPCA" in out
    assert "reference measure: probability mass" in out


def test_annealing_stands_beside_the_estimate(digits_run: Path) -> None:
    flags = ("--samples", 4, "--temperatures", 20, "--rows", 10, "--no-baselines", "--json")
    ais = json.loads(succeed("evaluate", digits_run, "--estimator", "ais", *flags).out)["ais"]
    assert (ais["n"], ais["chains"], ais["temperatures"]) == (10, 4, 20)
    assert np.isfinite(ais["log_likelihood"])
    assert ais["monte_carlo_error"] > 0
    bdmc = json.loads(succeed("evaluate", digits_run, "--estimator", "bdmc", *flags, "--start", "prior").out)["bdmc"]
    assert bdmc["start"] == "prior"
    assert bdmc["gap"] == pytest.approx(bdmc["upper"] - bdmc["lower"])
    assert bdmc["upper"] > bdmc["lower"]  # 20 temperatures from the prior are far too few
    people = succeed("evaluate", digits_run, "--estimator", "bdmc", *flags[:-1]).out
    assert "10 rows made by the model" in people


@pytest.mark.usefixtures("_plain_report")
@pytest.mark.parametrize("codes", ["relaxed-bernoulli", "categorical"])
def test_a_relaxed_run_is_scored_with_discrete_latents(codes: str) -> None:
    posterior = "relaxed-categorical" if codes == "categorical" else codes
    succeed("train", "digits", *TINY, "--prior", codes, "--posterior", posterior, "--run", "run")
    flags = ("evaluate", "run", "--samples", 50, "--no-baselines")
    soft = json.loads(succeed(*flags, "--json").out)
    hard = json.loads(succeed(*flags, "--discrete", "--json").out)
    assert soft["latent_space"] == f"relaxed {hard['latent_space']}"
    assert (soft["discrete"], hard["discrete"]) == (False, True)
    assert soft["log_likelihood"] != hard["log_likelihood"]
    assert "evaluate --discrete gives those of discrete codes" in succeed(*flags).out
    assert "its discrete counterpart, log-likelihood" in succeed(*flags, "--discrete").out
    # The run's own figures stay what they were.
    assert json.loads(Path("run/evaluation-test.json").read_text())["log_likelihood"] == soft["log_likelihood"]
    assert json.loads(Path("run/evaluation-test-discrete.json").read_text()) | {"seconds": 0} == hard | {"seconds": 0}


def test_latents_that_relax_nothing_are_not_discrete(digits_run: Path) -> None:
    assert "prior 'standard' is over real vectors" in refuse("evaluate", digits_run, "--discrete")
    assert "leave one out" in refuse("evaluate", digits_run, "--discrete", "--measure", "probes")


def test_an_estimator_that_is_none_is_refused(digits_run: Path) -> None:
    assert "did you mean 'bdmc'" in refuse("evaluate", digits_run, "--estimator", "bmdc")
    assert "'posterior', 'prior'" in refuse("evaluate", digits_run, "--start", "nowhere")
    assert "1 of its chains or more" in refuse("evaluate", digits_run, "--estimator", "ais", "--samples", 0)


@pytest.mark.usefixtures("_plain_report")
@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (("--posterior", "delta", "--objective", "autoencoder"), "has none; leave --estimator out, or train with"),
        (("--prior", "stick-breaking", "--posterior", "kumaraswamy"), "sticks between 0 and 1; use --estimator iw"),
    ],
)
def test_what_cannot_be_annealed_is_refused_before_the_work(
    parts: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    succeed("train", "digits", *TINY, *parts, "--run", "run")

    def never(*arguments: object, **others: object) -> None:
        raise AssertionError("evaluated before it was refused")

    monkeypatch.setattr("nelbo.evaluate.evaluate", never)
    for estimator in ("ais", "bdmc"):
        for start in ("posterior", "prior"):
            assert sentence in refuse("evaluate", "run", "--estimator", estimator, "--start", start)


def test_misspelt_splits_and_no_samples_are_refused(digits_run: Path) -> None:
    assert "did you mean 'train'" in refuse("evaluate", digits_run, "--split", "trian")
    assert "--samples 0" in refuse("evaluate", digits_run, "--samples", 0)


def test_a_folder_that_is_no_run_is_refused() -> None:
    Path("empty").mkdir()
    for command in ("evaluate", "sample", "reconstruct", "encode", "report"):
        assert "is not a run" in refuse(command, "empty")


def test_an_unfinished_run_says_how_to_finish_it(copied: Path) -> None:
    (copied / "model" / "config.json").unlink()
    assert f"nelbo train --resume {copied}" in refuse("evaluate", copied)


def test_truncated_weights_are_refused(copied: Path) -> None:
    weights = copied / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    for command in ("evaluate", "sample"):
        sentence = refuse(command, copied)
        assert "model.safetensors is damaged or truncated" in sentence
        assert "train again" in sentence


@pytest.mark.parametrize("place", [-1, -1000])
def test_a_flipped_bit_in_the_weights_is_noticed(copied: Path, place: int) -> None:
    weights = copied / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[place] ^= 1
    weights.write_bytes(content)
    assert "altered" in refuse("evaluate", copied)


def test_a_damaged_configuration_is_refused(copied: Path) -> None:
    (copied / "config.json").write_text('{"format": 1,')
    assert "config.json is damaged" in refuse("evaluate", copied)


@pytest.mark.usefixtures("_plain_report")
def test_data_that_changed_since_are_refused() -> None:
    source = write_table(Path("people.csv"))
    succeed("train", source, "--label", "class", *TINY, "--run", "run")
    write_table(source, seed=1)
    sentence = refuse("evaluate", "run", "--samples", 5)
    assert "no longer holds the data" in sentence
