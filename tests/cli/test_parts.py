"""Parts on the command line: composed, trained, measured, and refused when they cannot work."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest

from .conftest import TINY, refuse, succeed

AUTOENCODER = ("--posterior", "delta", "--objective", "autoencoder")


def test_an_autoencoder_is_measured_by_its_reconstructions_and_has_no_likelihood() -> None:
    content = json.loads(succeed("train", "digits", *TINY, *AUTOENCODER, "--run", "run", "--json").out)
    assert content["log_likelihood"] is content["bound"] is content["kl"] is None
    assert math.isfinite(content["reconstruction"])
    assert content["reconstruction_standard_error"] > 0
    assert content["baselines"] == []  # none that are comparable
    page = Path("run/report.html").read_text()
    assert "no likelihood of the data" in page
    assert "None" not in page.partition('id="configuration"')[0]


def test_an_autoencoder_can_be_evaluated_and_used_like_any_run() -> None:
    succeed("train", "digits", *TINY, *AUTOENCODER, "--run", "run")
    out = succeed("evaluate", "run", "--samples", 2, "--per-row", "rows.csv").out
    assert "reconstruction, log p(x given its code)" in out
    assert "--posterior gaussian --objective elbo" in out
    with Path("rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"row", "reconstruction"}
    assert len(rows) == 180
    succeed("sample", "run")
    succeed("encode", "run")
    assert "complete" in succeed("runs", "run").out


def test_the_kl_of_a_posterior_without_a_closed_form_is_a_monte_carlo_one() -> None:
    arguments = ("train", "digits", *TINY, "--prior", "mixture:components=2", "--run", "run", "--json")
    content = json.loads(succeed(*arguments).out)
    assert content["kl_per_latent"] is None
    assert content["likelihood"] == pytest.approx(content["bound"] + content["kl"])


def test_parts_are_named_before_training_and_kept_with_their_options() -> None:
    parts = ("--prior", "vamp:components=4", "--posterior", "iaf:steps=1,hidden=8")
    outcome = succeed("train", "digits", *TINY, *parts, "--run", "run")
    assert "prior vamp:components=4, posterior iaf:steps=1,hidden=8" in outcome.err
    model = json.loads(Path("run/model/config.json").read_text())
    text = json.dumps(model)
    assert '"components": 4' in text
    assert '"steps": 1' in text


PAIRS = [
    ("gamma:concentration=1", "exponential"),
    ("gamma", "gamma"),
    ("dirichlet:concentration=0.5", "logistic-normal"),
    ("cauchy", "cauchy"),
    ("stick-breaking", "beta"),
    ("one-hot:groups=2", "straight-through-categorical:groups=2"),
]


@pytest.mark.parametrize(("prior", "posterior"), PAIRS)
def test_latents_on_any_space_are_trained_measured_and_reported(prior: str, posterior: str) -> None:
    parts = ("--prior", prior, "--posterior", posterior, "--latent", 4)
    content = json.loads(succeed("train", "digits", *TINY, *parts, "--run", "run", "--json").out)
    assert math.isfinite(content["log_likelihood"])
    assert content["log_likelihood"] > content["bound"]
    page = Path("run/report.html").read_text()
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
    succeed("sample", "run")
    succeed("encode", "run", "--spread")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--prior", "vampp"), "did you mean 'vamp'"),
        (("--prior", "vamp:component=4"), "did you mean 'components'"),
        (("--posterior", "kumaraswamy"), "for sticks between 0 and 1 give --prior stick-breaking"),
        (("--posterior", "cauchy"), "give --prior cauchy, or a posterior with lighter tails"),
        (("--posterior", "gamma"), "for positive vectors give --prior gamma with --posterior exponential or gamma or"),
        (("--prior", "gamma:concentratio=1"), "did you mean 'concentration'"),
        (("--posterior", "delta"), "--objective autoencoder, or --posterior gaussian"),
        (("--objective", "autoencoder"), "give --posterior delta, or --objective elbo"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in refuse("train", "digits", *TINY, *arguments, "--run", "run")
    assert not Path("run").exists()


def test_an_objective_of_two_phases_is_trained_measured_and_gone_on_with() -> None:
    outcome = succeed("train", "digits", *TINY, "--objective", "factor:hidden=8", "--run", "run", "--json")
    content = json.loads(outcome.out)
    assert content["log_likelihood"] > content["bound"]
    assert "objective factor:hidden=8, warm-up none" in outcome.err
    last = json.loads(Path("run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["train"]["discriminator: cross-entropy"] == pytest.approx(math.log(2), abs=0.1)
    assert "complete already" in succeed("train", "--resume", "--run", "run").err
    assert "Kim" in succeed("cite", "run").out


def test_a_wasserstein_autoencoder_with_a_point_posterior_is_measured_by_its_reconstructions() -> None:
    arguments = ("train", "digits", *TINY, "--objective", "mmd:weight=10", "--posterior", "delta", "--run", "run")
    content = json.loads(succeed(*arguments, "--json").out)
    assert content["log_likelihood"] is content["bound"] is None
    assert math.isfinite(content["reconstruction"])


def test_a_composition_that_only_shows_at_the_first_rows_leaves_no_folder() -> None:
    sentence = refuse("train", "digits", *TINY, "--objective", "free-bits", "--prior", "vamp:components=3")
    assert "give free-bits:groups=1" in sentence
    assert not Path("runs").exists()
