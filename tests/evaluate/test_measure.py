"""Measures by name: what they draw, what is refused, and what a run keeps of them."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import torch
from typer.testing import CliRunner

from nelbo.cli.app import app
from nelbo.compose import catalogue
from nelbo.errors import ConfigError
from nelbo.evaluate.measure import evenly, measure_split
from nelbo.models.latent import LatentVariableModel
from nelbo.recipes import written_part
from nelbo.registry import registered
from nelbo.report import write_report
from nelbo.runs import Run
from nelbo.settings import resolve
from nelbo.train.job import prepare
from zoo import SMALL, rows_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("probe", "did you mean 'probes'"),
        ("probes:k=3", "unknown option of measure/probes: 'k'"),
        ("probes:neighbours=0", "probes need 1 neighbour"),
        ("probes:neighbours=many", "'neighbours' of measure/probes should be"),
    ],
)
def test_a_measure_that_does_not_exist_is_refused_with_the_remedy(name: str, words: str) -> None:
    job = prepare(resolve(SMALL), rows_of("real"))
    with pytest.raises(ConfigError, match=words):
        measure_split(job, job.build().model, [name])


@pytest.mark.parametrize(("name", "cls"), list(registered("measure")))
def test_every_argument_of_a_measure_is_an_option(name: str, cls: type) -> None:
    (part,) = (part for part in catalogue("measure") if part.name == name)
    assert set(part.options) == set(inspect.signature(cls).parameters)
    written_part("measure", f"{name}:{part.option_string}")  # refuses what is none


def test_measuring_leaves_the_random_state_and_the_weights_alone() -> None:
    rows = rows_of("real")
    job = prepare(resolve(SMALL), replace(rows, label=torch.arange(len(rows)) % 2))
    model = cast("LatentVariableModel", job.build().model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    first, again = (measure_split(job, model, ["probes"])["probes"] for _ in range(2))
    assert first == again
    assert torch.get_rng_state().equal(state)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_rows_are_chosen_evenly() -> None:
    assert evenly(torch.arange(10, 110), 5).tolist() == [10, 35, 60, 84, 109]
    assert evenly(torch.arange(3), 5).tolist() == [0, 1, 2]


def test_a_run_keeps_what_was_measured_and_the_report_shows_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    invoke = CliRunner().invoke
    trained = invoke(app, ["train", "digits", "--epochs", "1", "--hidden", "8", "--latent", "2", "--run", str(run)])
    assert trained.exit_code == 0
    shown = invoke(app, ["evaluate", str(run), "--measure", "probes"])
    assert shown.exit_code == 0
    assert "linear classifier" in shown.stdout
    done = invoke(app, ["evaluate", str(run), "--measure", "probes:neighbours=1", "--json"])
    figures = json.loads(done.stdout)["measures"]["probes:neighbours=1"]
    assert set(Run(run).measures("test")) == {"probes", "probes:neighbours=1"}
    assert Run(run).measures("test")["probes:neighbours=1"]["figures"] == figures
    page = write_report(Run(run)).read_text()
    assert 'id="measures"' in page
    assert "most frequent class" in page
