"""The run folder: who may write where, what is found again, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nelbo.core import Model
from nelbo.data import DataSpec
from nelbo.errors import CompositionError, ConfigError, RunError, StorageError, TrainingError
from nelbo.likelihoods import GaussianLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import StandardNormalPrior
from nelbo.runs import Run, claim, load_model, reopen, runs, save_model, train_run
from nelbo.settings import resolve
from nelbo.storage import read_tensors, write_tensors
from nelbo.train import Job, prepare
from zoo import SMALL, rows_of


def job(**settings: Any) -> Job:
    return prepare(resolve(SMALL, {"source": "real"}, settings), rows_of("real"))


@pytest.fixture
def finished(tmp_path: Path) -> Run:
    return train_run(job(), tmp_path / "run")


# Claiming a folder.


def test_fresh_runs_are_numbered_one_after_the_last(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    assert claim(None, root=root) == root / "001"
    for name in ("001", "007", "notes", "12x"):
        (root / name).mkdir(parents=True)
    assert claim(None, root=root) == root / "008"


def test_a_new_or_empty_folder_is_taken_as_it_is(tmp_path: Path) -> None:
    assert claim(tmp_path / "new") == tmp_path / "new"
    (tmp_path / "empty").mkdir()
    assert claim(tmp_path / "empty") == tmp_path / "empty"


def test_what_is_there_is_not_touched_without_a_word(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("run", "file"):
        with pytest.raises(RunError, match=rf"{name} exists; go on with --resume, start anew with --overwrite"):
            claim(tmp_path / name)
    assert (tmp_path / "run" / "mine.txt").read_text() == "mine"


def test_overwriting_moves_the_old_one_aside(tmp_path: Path) -> None:
    for content in ("first", "second"):
        claim(tmp_path / "run", overwrite=True)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "mine.txt").write_text(content)
    claim(tmp_path / "run", overwrite=True)
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "run.old-1" / "mine.txt").read_text() == "first"
    assert (tmp_path / "run.old-2" / "mine.txt").read_text() == "second"


def test_only_a_run_can_be_resumed(tmp_path: Path, finished: Run) -> None:
    assert claim(finished.folder, resume=True) == finished.folder
    with pytest.raises(RunError, match=r"there is no run to resume in .*; start it without --resume"):
        claim(tmp_path / "none", resume=True)
    with pytest.raises(RunError, match="name it with --run DIR"):
        claim(None, resume=True)


# What a training leaves behind.


def test_a_finished_run_holds_everything_it_was_made_of(finished: Run) -> None:
    assert finished.exists
    assert finished.is_complete
    config = finished.config()
    assert config["settings"]["latent"] == 2
    assert config["data"]["rows"] == 60
    split = config["data"]["split"]
    assert split["train"] + split["validation"] + split["test"] == 60
    assert config["versions"]["torch"] == str(torch.__version__)
    source = config["settings"]["source"]  # a path is kept from the root
    assert resolve(config["settings"]) == job().settings.model_copy(update={"source": source})
    assert DataSpec.model_validate(config["data"]["spec"]) == job().spec
    assert config["objective"] == dict(job().objective_spec)
    assert [record["epoch"] for record in finished.metrics()] == [1, 2]
    assert finished.state()["epoch"] == 2
    assert finished.state()["stopped"] == "all 6 steps done"


def test_a_finished_run_is_text_and_safetensors_only(finished: Run) -> None:
    names = {str(path.relative_to(finished.folder)) for path in finished.folder.rglob("*") if path.is_file()}
    assert names == {
        "config.json",
        "state.json",
        "metrics.jsonl",
        "steps.jsonl",
        "checkpoints/step-000000006.safetensors",
        "model/baselines.safetensors",
        "model/config.json",
        "model/model.safetensors",
    }


def test_the_loaded_model_is_the_trained_one(finished: Run) -> None:
    trained, _ = read_tensors(finished.folder / "model" / "model.safetensors")
    loaded = finished.load().model
    assert not loaded.training
    assert all(value.equal(loaded.state_dict()[name]) for name, value in trained.items())


def test_runs_are_listed_by_name_and_models_are_no_runs(tmp_path: Path) -> None:
    for name in ("b", "a", "deep/c"):
        train_run(job(epochs=1), tmp_path / name)
    assert [run.folder.name for run in runs(tmp_path)] == ["a", "b", "c"]
    assert list(runs(tmp_path / "none")) == []


def test_evaluations_are_kept_by_split(finished: Run) -> None:
    assert finished.evaluation() is None
    finished.write_evaluation({"split": "test", "bound": -3.0})
    finished.write_evaluation({"split": "validation", "bound": -4.0})
    assert finished.evaluation() == {"split": "test", "bound": -3.0}
    assert finished.evaluation("validation") == {"split": "validation", "bound": -4.0}


# What is refused.


def test_a_folder_that_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run \(it has no model/config\.json\)"):
        Run(tmp_path).load()


def test_an_unfinished_run_has_no_model_and_says_how_to_go_on(tmp_path: Path, finished: Run) -> None:
    (finished.folder / "model" / "config.json").unlink()
    with pytest.raises(RunError, match="holds no trained model yet; finish it with"):
        finished.load()


@pytest.mark.parametrize("file", ["config.json", "model/config.json"])
def test_files_of_a_newer_version_are_refused(finished: Run, file: str) -> None:
    path = finished.folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(StorageError, match=r"newer nelbo.*upgrade nelbo"):
        finished.config() if file == "config.json" else finished.load()


@pytest.mark.parametrize("file", ["config.json", "model/config.json"])
def test_files_of_an_older_format_are_refused_with_a_sentence(finished: Run, file: str) -> None:
    path = finished.folder / file
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 1}))
    with pytest.raises(StorageError, match=r"older nelbo \(format 1, now 2\); train it anew"):
        finished.config() if file == "config.json" else finished.load()


@pytest.mark.parametrize("content", [[], {}, {"format": True}, {"format": 2}, {"format": 2, "spec": "vae"}])
def test_a_model_without_a_description_is_refused(finished: Run, content: object) -> None:
    (finished.folder / "model" / "config.json").write_text(json.dumps(content))
    with pytest.raises(StorageError, match=r"does not describe a model|names no format"):
        finished.load()


def test_weights_of_another_training_are_refused(tmp_path: Path, finished: Run) -> None:
    other = train_run(job(seed=1), tmp_path / "other")
    stolen = (other.folder / "model" / "model.safetensors").read_bytes()
    (finished.folder / "model" / "model.safetensors").write_bytes(stolen)
    with pytest.raises(StorageError, match=r"is not the file its config\.json names; restore it from a copy"):
        finished.load()


def test_a_cut_or_tampered_model_is_refused(finished: Run) -> None:
    path = finished.folder / "model" / "model.safetensors"
    content = bytearray(path.read_bytes())
    path.write_bytes(content[:-7])
    with pytest.raises(StorageError, match="damaged or truncated"):
        finished.load()
    content[-1] ^= 128
    path.write_bytes(content)
    with pytest.raises(StorageError, match="altered"):
        finished.load()
    path.unlink()
    with pytest.raises(StorageError, match=r"model\.safetensors is missing"):
        finished.load()


def test_weights_that_do_not_fit_their_spec_are_refused(finished: Run) -> None:
    path = finished.folder / "model" / "config.json"
    content = json.loads(path.read_text())
    content["spec"]["posterior"]["network"]["hidden"] = [9, 6]
    path.write_text(json.dumps(content))
    with pytest.raises(StorageError, match=r"does not fit its config\.json"):
        finished.load()
    weights, _ = read_tensors(finished.folder / "model" / "model.safetensors")
    weights.pop(next(iter(weights)))
    write_tensors(finished.folder / "model" / "model.safetensors", weights)
    with pytest.raises(StorageError):
        finished.load()


def test_loading_never_builds_what_is_not_registered(finished: Run) -> None:
    path = finished.folder / "model" / "config.json"
    content = json.loads(path.read_text())
    content["spec"]["prior"] = {"part": "subprocess/Popen", "args": ["false"]}
    path.write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="unknown kind of part in a model: 'subprocess'"):
        finished.load()


# A network of the user's own.


def own_model() -> tuple[Model, nn.Module]:
    network = nn.Sequential(nn.Linear(6, 4))
    posterior = GaussianPosterior(network)
    return LatentVariableModel(StandardNormalPrior(2), posterior, GaussianLikelihood(MLP(2, 6), (6,))), network


def test_a_network_of_the_users_own_is_asked_for_and_filled_with_its_weights(tmp_path: Path) -> None:
    model, network = own_model()
    save_model(tmp_path, model)
    with pytest.raises(CompositionError, match=r"networks=\{'posterior\.network': module\}"):
        load_model(tmp_path)
    fresh = nn.Sequential(nn.Linear(6, 4))
    load_model(tmp_path, {"posterior.network": fresh})
    assert all(p.equal(q) for p, q in zip(fresh.parameters(), network.parameters(), strict=True))


# Reopening.


def own_file(tmp_path: Path, rows: np.ndarray) -> Path:
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path / "rows.npy"


def test_a_reopened_run_has_the_job_it_was_trained_with(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 5))
    settings = resolve(SMALL, {"source": str(own_file(tmp_path, rows)), "seed": 3, "validation": 0.2})
    run = train_run(settings, tmp_path / "run")
    again, first = reopen(run), prepare(settings)
    assert again.settings == first.settings
    assert again.objective_spec == first.objective_spec
    for part in ("train", "validation", "test"):
        assert getattr(again.split, part).equal(getattr(first.split, part))


@pytest.mark.parametrize("change", ["value", "order", "fewer"])
def test_a_run_whose_data_changed_is_not_reopened(tmp_path: Path, change: str) -> None:
    rows = np.random.default_rng(0).normal(size=(60, 5))
    run = train_run(resolve(SMALL, {"source": str(own_file(tmp_path, rows))}), tmp_path / "run")
    if change == "value":
        rows[7, 2] += 1e-3
    rows = {"value": rows, "order": rows[::-1], "fewer": rows[:-1]}[change]
    own_file(tmp_path, rows)
    with pytest.raises(ConfigError, match=r"no longer holds the data that .* was trained on"):
        reopen(run)


def test_what_a_training_failed_of_stays_in_the_run(tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        train_run(job(optimizer="sgd", lr=1e6), tmp_path)
    assert Run(tmp_path).state() == {"stopped": f"failed: {caught.value}"}
    assert not Run(tmp_path).is_complete
