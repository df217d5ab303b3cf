"""The contests of the first twelve parts: scores of known models, and what a contest compares."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from nelbo.errors import ConfigError
from nelbo.reproduce import parts
from nelbo.settings import resolve
from nelbo.solvers import fit_ppca
from nelbo.train.job import prepare, train

LINEAR = {
    "source": "digits", "kind": "real", "latent": 2, "network": "linear", "likelihood": "gaussian:sigma=shared",
    "lr": 5e-3, "epochs": 150, "threads": 1,
}  # fmt: skip


def test_scores_of_a_linear_model_are_those_of_principal_components() -> None:
    job = prepare(resolve(LINEAR, {"seed": 0}))
    objective, _, _ = train(job)
    model = objective.model.eval()
    x = job.data.x.double().flatten(1)
    closed_form = fit_ppca(x[job.split.train], 2)
    held_out = x[job.split.test]
    ours = parts.log_likelihood(model, job)
    assert float(ours.mean()) == pytest.approx(float(closed_form.log_likelihood(held_out).mean()), abs=0.5)
    _, _, directions = torch.linalg.svd(x[job.split.train] - x[job.split.train].mean(0), full_matrices=False)
    centred = held_out - x[job.split.train].mean(0)
    left = (centred - centred @ directions[:2].T @ directions[:2]).square().sum(1) / held_out.var(0, correction=0).sum()
    assert float(parts.reconstruction(model, job).mean()) == pytest.approx(-100 * float(left.mean()), abs=1.0)


def test_a_contest_pairs_the_rows_of_two_trainings() -> None:
    contest = next(c for c in parts.CONTESTS if c.name.startswith("prior mixture, digits"))
    contest = dataclasses.replace(contest, settings={**contest.settings, "epochs": 1, "threads": 1})
    none = dataclasses.replace(contest, instead=contest.default).gain(seed=0)
    assert torch.equal(none, torch.zeros_like(none))
    gain = contest.gain(seed=0)
    assert gain.shape == none.shape
    assert float(gain.std()) > 0


@pytest.mark.data
@pytest.mark.parametrize("contest", parts.CONTESTS, ids=lambda c: c.name)
def test_every_contest_can_be_prepared_and_has_two_sides(contest: parts.Contest) -> None:
    sides = []
    for own in (contest.instead, contest.default):
        settings = {**contest.settings, **own}
        job = prepare(resolve({**settings, "source": str(parts.place(settings["source"]))}))
        job.build()
        sides.append(job.objective_spec["model"])
    kind, _, name = contest.part.partition(" ")
    assert [side[kind]["part"] == f"{kind}/{name}" for side in sides] == [True, False]


def test_each_of_the_twelve_parts_has_a_contest_and_each_claim_a_figure() -> None:
    assert len({contest.part for contest in parts.CONTESTS}) == 12
    bars = {figure.name: (figure.low, figure.high) for figure in parts.REPRODUCTION.figures}
    assert len(bars) == len(parts.CONTESTS)
    for contest in parts.CONTESTS:
        assert bars[parts.beyond_doubt(contest)] == ((0.0, None) if contest.wins else (None, 0.0))
    json.dumps(dict(parts.REPRODUCTION.configuration))


def test_the_figures_are_the_mean_and_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    gain = torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64)
    monkeypatch.setattr(parts.Contest, "gain", lambda self, seed: gain + seed)
    figures = parts.measure(1, lambda text: None)
    contest = parts.CONTESTS[0]
    assert figures[contest.name] == pytest.approx(4.0)
    error = math.sqrt(14 / 3 / 4)
    assert figures[f"{contest.name}, standard error"] == pytest.approx(error)
    assert figures[parts.beyond_doubt(contest)] == pytest.approx(4.0 - 2 * error)


def test_a_file_is_asked_for_by_the_folder_of_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NELBO_DATA", "somewhere")
    assert parts.place("tabular/wine.csv") == Path("somewhere/tabular/wine.csv")
    assert parts.place("digits") == "digits"
    monkeypatch.delenv("NELBO_DATA")
    with pytest.raises(ConfigError, match="set NELBO_DATA"):
        parts.place("tabular/wine.csv")
