"""Models of the user's own, of 60 lines each: every command and every measure serves them or says why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nelbo.registry import registered

from .conftest import TINY, call, read_rows, refuse, succeed, write_table

FOLDER = Path(__file__).parents[1] / "toys"
TOYS = ("two_layers", "labelled")
MEASURES = [name for name, _ in registered("measure")]


@pytest.mark.parametrize("toy", TOYS)
def test_a_model_of_the_users_own_takes_sixty_lines(toy: str) -> None:
    assert len((FOLDER / f"{toy}.py").read_text().splitlines()) <= 60


@pytest.fixture(scope="module", params=TOYS)
def toy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run of each on a table, and its plugin; the report is written in full."""
    home = tmp_path_factory.mktemp("toys")
    plugin = str(FOLDER / f"{request.param}.py")
    source = write_table(home / "people.csv")
    words = ("--recipe", request.param.replace("_", "-"), "--plugin", plugin, *TINY, "--latent", 4)
    succeed("train", source, "--label", "class", *words, "--run", home / "run")
    return home / "run", plugin


def test_every_command_serves_it(toy: tuple[Path, str], tmp_path: Path) -> None:
    run, plugin = toy
    own = ("--plugin", plugin)
    content = json.loads(succeed("evaluate", run, *own, "--samples", 20, "--json").out)
    assert content["log_likelihood"] >= content["bound"]
    assert content["kl"] > 0
    assert "<h2" in (run / "report.html").read_text()
    succeed("report", run, *own)
    assert call("doctor", run, *own).status in {0, 3}  # well, or with findings
    compared = json.loads(succeed("compare", run, run, *own, "--samples", 20, "--json").out)
    assert compared
    succeed("encode", run, *own, "--split", "all", "--spread", "--draws", 2, "-o", tmp_path / "codes.csv")
    assert len(read_rows(tmp_path / "codes.csv")) == 60
    succeed("sample", run, *own, "-n", 5, "--draw", "-o", tmp_path / "new.csv")
    assert [*read_rows(tmp_path / "new.csv")[0]] == ["height", "weight"]
    succeed("reconstruct", run, *own, "-o", tmp_path / "again.csv")
    succeed("runs", run.parent)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_serves_it_or_says_why_not(toy: tuple[Path, str], measure: str) -> None:
    run, plugin = toy
    outcome = call("evaluate", run, "--plugin", plugin, "--measure", measure, "--json")
    assert outcome.status in {0, 2}, outcome.err
    assert "Traceback" not in outcome.err
    if outcome.status == 2:
        assert outcome.err.splitlines()[-1].startswith("error: ")
        assert len(outcome.err.splitlines()[-1].split()) > 5


@pytest.mark.parametrize("estimator", ["ais", "bdmc"])
def test_annealing_serves_real_latents_and_refuses_labels(toy: tuple[Path, str], estimator: str) -> None:
    run, plugin = toy
    options = ("--samples", 4, "--temperatures", 5, "--rows", 6, "--json")
    outcome = call("evaluate", run, "--plugin", plugin, "--estimator", estimator, *options)
    if "two_layers" in plugin:
        assert outcome.status == 0, outcome.err
    else:
        assert outcome.status == 2
        assert "y one-hot codes, z real vectors" in outcome.err


BROKEN = {
    "a method that is missing": (
        "    def sides(self)",
        "    def slides(self)",
        "lacks sides; define what Model asks for",
    ),
    "a method that raises": ("return self.encode(batch).top_down", "raise KeyError('a')", "mine.py, line 4"),
    "a shape that is wrong": ("Linear(dim, 2), Linear", "Linear(dim, 4), Linear", "mine.py, line 4"),
    "a posterior that draws no common noise": (
        "Chain(normal(self.top(h)), lambda",
        "Chain(torch.distributions.Independent(torch.distributions.Normal(self.top(h)[:, :1], 1.0), 1), lambda",
        "cannot draw with noise common to all rows",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.usefixtures("own_parts")
def test_a_model_that_is_broken_is_told_of_before_it_is_trained(name: str, tmp_path: Path) -> None:
    old, new, words = BROKEN[name]
    text = (FOLDER / "two_layers.py").read_text()
    assert old in text
    (tmp_path / "mine.py").write_text("import torch\n" + text.replace(old, new).replace("two-layers", "broken-layers"))
    source = write_table(tmp_path / "people.csv")
    sentence = refuse(
        "train",
        source,
        "--label",
        "class",
        "--plugin",
        tmp_path / "mine.py",
        "--recipe",
        "broken-layers",
        *TINY,
        "--run",
        "run",
    )
    assert words in sentence
    assert not Path("run").exists()
