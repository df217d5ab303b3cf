"""Whole examinations: runs trained with a planted fault, and data, with remedies that can be pasted."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from torch import nn
from typer.testing import CliRunner

from nelbo import plugins
from nelbo.cli.app import app
from nelbo.core import Objective
from nelbo.doctor import Diagnosis, Severity, examine, examine_data, keep, kept_findings
from nelbo.errors import TrainingError
from nelbo.report import write_report
from nelbo.runs import Run
from nelbo.runs.folder import FAILED
from nelbo.runs.prior import fit_prior
from nelbo.settings import resolve
from nelbo.train.job import Job

from .conftest import ROWS, healthy_rows, written

Train = Callable[..., Run]


def pasted(diagnosis: Diagnosis) -> None:
    """Every command is understood, and trains where it mends the first cause.

    See `test_a_remedy_of_data_runs_and_mends` for what it does.
    """
    group = typer.main.get_command(app)
    for found in diagnosis.findings:
        for step in found.steps:
            program, name, *words = shlex.split(step.command)
            assert program == "nelbo"
            group.commands[name].make_context(name, list(words))  # type: ignore[attr-defined]
            if name == "train" and found is diagnosis.findings[0] and "--resume" not in words:
                tried = CliRunner().invoke(app, [name, *words, "--dry-run"])
                assert tried.exit_code == 0, (step.command, tried.output)


def test_a_healthy_run_is_healthy_and_left_as_it_was(run: Run) -> None:
    before, state = sorted(run.folder.rglob("*")), torch.get_rng_state()
    parts: list[str] = []
    diagnosis = examine(run, parts.append)
    assert "learning rate" in parts
    assert diagnosis.is_healthy, [found.key for found in diagnosis.findings]
    pasted(diagnosis)
    assert sorted(run.folder.rglob("*")) == before
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("settings", "first"),
    [
        ({"lr": 1.0}, "learning-rate-high"),
        ({"lr": 2e-6}, "learning-rate-low"),
        ({"beta": 30.0}, "beta-high"),
        ({"likelihood": "gaussian:sigma=unit", "beta": 7.5}, "variance-too-large"),
        ({"scaling": "none", "by": 100.0}, "unscaled-columns"),
    ],
)
def test_a_planted_fault_is_named_first(trained: Train, settings: dict[str, Any], first: str) -> None:
    x = healthy_rows()
    x[:, :4] *= settings.pop("by", 1.0)
    diagnosis = examine(trained(x, **settings))
    assert diagnosis.findings[0].key == first, [found.key for found in diagnosis.findings]
    assert diagnosis.findings[0].remedy
    pasted(diagnosis)


@pytest.mark.usefixtures("own_parts")
@pytest.mark.parametrize(
    ("objective", "first"), [("averaged", "likelihood-averaged"), ("cut-off", "detached-encoder"), ("sound", "")]
)
def test_a_fault_of_an_objective_of_the_users_own_is_named_first(trained: Train, objective: str, first: str) -> None:
    plugins.load(Path(__file__).with_name("faulty_objectives.py"))
    diagnosis = examine(trained(objective=objective))
    keys = [found.key for found in diagnosis.findings]
    assert (keys[0] == first) if first else diagnosis.is_healthy, keys
    pasted(diagnosis)


@pytest.mark.usefixtures("own_parts")
def test_a_network_that_cuts_its_input_off_is_named_first(trained: Train) -> None:
    plugins.load(Path(__file__).with_name("faulty_objectives.py"))
    diagnosis = examine(trained(network="cut-off-mlp"))
    assert diagnosis.findings[0].key == "detached-encoder"
    pasted(diagnosis)


def test_a_run_that_broke_off_is_examined_without_a_model(trained: Train, tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        trained(lr=1e5, optimizer="sgd")
    diagnosis = examine(Run(tmp_path / "run"))
    keys = [found.key for found in diagnosis.findings]
    assert keys[0] == "learning-rate-high"
    assert "diverged" in keys
    pasted(diagnosis)


def test_a_run_that_broke_off_late_is_held_against_smaller_steps(trained: Train) -> None:
    # Its first steps fail at no rate: only that they go better at a lower one tells.
    run = trained(lr=1.0, epochs=4)
    shutil.rmtree(run.folder / "model")
    run.write_state({"stopped": f"{FAILED}the loss turned non-finite in epoch 5, step 40"})
    diagnosis = examine(run)
    keys = [found.key for found in diagnosis.findings]
    assert keys[0] == "learning-rate-high"
    assert "which fail later" in diagnosis.findings[0].text
    pasted(diagnosis)


def test_a_run_whose_codes_overflowed_says_so(trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = Job.build

    def spoilt(job: Job, *arguments: Any) -> Objective:
        objective = build(job, *arguments)
        last = [module for module in objective.model.posterior.modules() if isinstance(module, nn.Linear)][-1]
        last.bias.data[len(last.bias) // 2 :] = 100.0  # log-variances
        return objective

    with monkeypatch.context() as patch:
        patch.setattr(Job, "build", spoilt)
        with pytest.raises(TrainingError, match="in the term 'likelihood' and in 'kl'"):
            trained()
    diagnosis = examine(Run(tmp_path / "run"))
    assert diagnosis.findings[0].key == "log-variance-overflow"
    pasted(diagnosis)


def test_what_was_found_is_kept_for_the_weights_it_was_found_in(run: Run, tmp_path: Path) -> None:
    copied = Run(shutil.copytree(run.folder, tmp_path / "copy"))
    diagnosis = examine(copied)
    spoilt = Diagnosis("x", (found_by_hand(),), 0.0, diagnosis.weights)
    keep(copied, spoilt)
    assert [found.key for found in kept_findings(copied)] == ["posterior-collapse"]
    page = write_report(copied).read_text()
    assert "What the doctor found" in page
    words = re.sub("<[^>]+>", "", page)
    assert words.count(found_by_hand().remedy) == 1  # not again among what else to try
    assert page.index("Posterior collapse") < page.index('id="training"')
    keep(copied, Diagnosis("x", (found_by_hand(),), 0.0, "of other weights"))
    assert kept_findings(copied) == []
    assert "What the doctor found" not in write_report(copied).read_text() or not diagnosis.is_healthy


def found_by_hand() -> Any:
    from nelbo.doctor import Finding, NextStep

    step = NextStep("Do it.", "nelbo train digits --beta 0.5")
    return Finding("posterior-collapse", Severity.FAULT, "All is silent.", "collapsed", (step,))


def spoilt_tables(folder: Path) -> dict[str, str]:
    """Files by the key of what is wrong with them."""
    rng = np.random.default_rng(0)
    constant, tails, holes = healthy_rows(), healthy_rows(), healthy_rows()
    constant[:, 3] = 2.0
    tails[:, 1] = rng.standard_t(1, size=ROWS)
    holes[5, 2] = np.nan
    tables = {
        "constant-column": constant,
        "heavy-tails": tails,
        "missing-values": holes,
        "duplicated-rows": np.repeat(healthy_rows(50), 8, 0),
    }
    return {key: written(folder / f"{key}.csv", x) for key, x in tables.items()}


def test_what_is_wrong_with_data_is_named_first(tmp_path: Path) -> None:
    for key, source in spoilt_tables(tmp_path).items():
        diagnosis = examine_data(resolve({"source": source}))
        assert diagnosis.findings[0].key == key
        assert not diagnosis.is_healthy
        pasted(diagnosis)
    healthy = examine_data(resolve({"source": written(tmp_path / "rows.csv", healthy_rows()), "latent": 4}))
    assert healthy.is_healthy


def test_a_remedy_of_data_runs_and_mends(tmp_path: Path) -> None:
    from nelbo.settings import Settings

    for key, source in spoilt_tables(tmp_path).items():
        found = examine_data(resolve({"source": source})).findings[0]
        words = shlex.split(found.remedy)
        context = typer.main.get_command(app).commands["train"].make_context("train", words[2:])  # type: ignore[attr-defined]
        given = {k: v for k, v in context.params.items() if v not in (None, [], False) and k in Settings.model_fields}
        mended = examine_data(resolve({**given, "drop": tuple(given.get("drop", ()))}))
        assert key not in {one.key for one in mended.findings if one.severity >= Severity.WARNING}


def test_a_run_whose_prior_was_fitted_afterwards_is_examined_too(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "refit"
    fit_prior(run, "mixture:components=3", output=folder, epochs=2)
    keys = {found.key for found in examine(Run(folder)).findings}
    assert not keys & {"frozen-encoder", "frozen-decoder", "terms-off", "kl-sign", "likelihood-averaged"}
