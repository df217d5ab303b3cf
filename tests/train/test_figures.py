"""What is looked at beside the loss: it is what it says, it is there once a step, and looking changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch

from nelbo.errors import ConfigError
from nelbo.runs import Run, train_run
from nelbo.settings import resolve
from nelbo.storage import read_tensors
from nelbo.train import Job, prepare, train
from nelbo.train.checkpoint import Checkpoints
from nelbo.train.figures import LATENT_STEPS, gradient_norms
from nelbo.train.job import make_trainer
from nelbo.train.monitor import EpochRecord, Ledger, Listener, StepRecord, StepsFile
from zoo import SMALL, rows_of

EPOCHS, STEPS = 4, 3  # of 48 training rows in batches of 16

SETTINGS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "mlp": ("real", {}),
    "dropout": ("levels", {"network": "conv:dropout=0.3"}),
    "dynamic": ("levels", {"binarize": "dynamic", "warmup": "linear:0.8", "beta": 3.0}),
    "no closed form": ("binary", {"prior": "vamp:components=3", "samples": 2}),
    "flow": ("real", {"prior": "flow"}),
    "iwae": ("binary", {"objective": "iwae:samples=3,gradient=dreg"}),
    "binary codes": ("binary", {"prior": "bernoulli", "posterior": "bernoulli", "objective": "iwae:gradient=vimco"}),
    "two phases": ("binary", {"objective": "factor:hidden=8"}),
    "autoencoder": ("real", {"objective": "autoencoder", "posterior": "delta"}),
}


def job(name: str, **settings: Any) -> Job:
    data, special = SETTINGS[name]
    return prepare(resolve(SMALL, {"epochs": EPOCHS, "source": data}, special, settings), rows_of(data))


@final
class Recorder(Listener):
    """Keeps every record, and presses Ctrl-C at a step if told to."""

    def __init__(self, until: int | None = None) -> None:
        self.steps: list[StepRecord] = []
        self.epochs: list[EpochRecord] = []
        self._until = until

    def logged(self, record: StepRecord) -> None:
        self.steps.append(record)
        if record.step == self._until:
            raise KeyboardInterrupt

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        self.epochs.append(record)


def recorded(name: str = "mlp", **settings: Any) -> Recorder:
    recorder = Recorder()
    train(job(name, **settings), listeners=[recorder])
    return recorder


# Looking changes nothing.


@pytest.mark.parametrize("name", SETTINGS)
def test_weights_and_random_states_are_the_same_with_and_without_monitoring(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nelbo.train.figures.LATENT_STEPS", 1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(job(name, log_every="1steps", ema=0.9), checkpoints=tmp_path / "with", listeners=[Recorder()])
    assert torch.get_rng_state().equal(before)
    monkeypatch.setattr("nelbo.train.job._latent_watch", lambda *_: None)
    monkeypatch.setattr("nelbo.train.trainer.Trainer._look", lambda *_: None)
    train(job(name, ema=0.9), checkpoints=tmp_path / "without")
    found, expected = (read_tensors(Checkpoints(tmp_path / each).files[0])[0] for each in ("with", "without"))
    assert found.keys() == expected.keys()
    assert [key for key in expected if not found[key].equal(expected[key])] == []


# Steps.


def test_the_steps_of_an_epoch_make_its_mean() -> None:
    found = recorded(log_every="1steps", steps=EPOCHS * STEPS, epochs=None, batch_size=20)  # 20, 20 and 8 rows
    assert [record.step for record in found.steps] == list(range(1, EPOCHS * STEPS + 1))
    for epoch in found.epochs:
        steps = [record for record in found.steps if record.epoch == epoch.epoch]
        for figure in ("loss", "bound", "likelihood", "kl"):
            mean = np.average([record.train[figure] for record in steps], weights=[20, 20, 8])
            assert epoch.train[figure] == pytest.approx(mean, rel=1e-6)
        assert steps[-1].gradients == epoch.gradients
        assert steps[-1].lr == epoch.lr


@pytest.mark.parametrize(("rhythm", "steps"), [("5steps", [5, 10]), ("2epochs", [6, 12]), ("100steps", [])])
def test_the_rhythm_is_kept(rhythm: str, steps: list[int]) -> None:
    assert [record.step for record in recorded(log_every=rhythm).steps] == steps


def test_a_rhythm_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ConfigError, match="--log-every often is no rhythm; write"):
        make_trainer(job("mlp", log_every="often"))


def test_gradient_norms_are_those_of_the_parts_before_clipping() -> None:
    trainer = make_trainer(job("mlp", clip=1e-3, log_every="1steps"), listeners=[recorder := Recorder()])
    objective = job("mlp").build().train()
    torch.manual_seed(3)
    next(trainer.steps(1, Ledger()))
    torch.manual_seed(3)
    objective(next(trainer.batches.epoch(1))).loss.backward()
    model = objective.model
    for part in ("posterior", "likelihood"):
        gradient = np.concatenate([p.grad.double().flatten() for p in model.get_submodule(part).parameters()])
        assert recorder.steps[0].gradients[part] == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
    assert recorder.steps[0].gradients.keys() == {"posterior", "likelihood"}  # a standard prior has none


def test_a_group_without_a_gradient_is_left_out() -> None:
    p = torch.nn.Parameter(torch.zeros(3))
    assert gradient_norms({"one": [p]}) == {}
    p.grad = torch.tensor([3.0, 0.0, 4.0])
    assert gradient_norms({"one": [p], "none": [torch.nn.Parameter(torch.zeros(1))]}) == {"one": 5.0}


def test_each_phase_has_its_norms_and_figures() -> None:
    last = recorded("two phases", log_every="1steps").steps[-1]
    assert last.gradients.keys() == {"posterior", "likelihood", "discriminator: network"}
    assert "discriminator: loss" in last.train


def test_the_weight_in_force_is_recorded() -> None:
    found = recorded("dynamic", log_every="1steps", warmup="linear:6steps").steps
    assert [record.weights["beta"] for record in found] == pytest.approx([3 * min(1, step / 6) for step in range(12)])
    assert all(record.memory["resident"] > 10 for record in found)
    assert all(record.samples_per_second > 0 for record in found)


# The file.


def timeless(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("epoch", "step", "train", "gradients", "weights", "lr")}


@pytest.mark.parametrize("stops", [(3,), (5, 8), (1, 2, 12)])
@pytest.mark.parametrize("every", ["1steps", "2steps", "1epoch"])
def test_a_resumed_run_has_one_record_for_each_logged_step(tmp_path: Path, every: str, stops: tuple[int, ...]) -> None:
    whole = train_run(job("dropout", log_every="1steps"), tmp_path / "whole")
    settings = {"log_every": "1steps", "checkpoint_every": every}
    run = Run(tmp_path / "cut")
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            train_run(job("dropout", **settings), run.folder, resume=run.exists, listeners=[Recorder(stop)])
        with run.steps_file.open("a") as file:
            file.write('{"epoch": 4, "step": 12, "train": {"lo')
    train_run(job("dropout", **settings), run.folder, resume=True)
    assert [record["step"] for record in run.steps()] == list(range(1, EPOCHS * STEPS + 1))
    assert [timeless(record) for record in run.steps()] == [timeless(record) for record in whole.steps()]
    gradients = [[record["gradients"] for record in each.metrics()] for each in (run, whole)]
    assert gradients[0] == gradients[1]


def test_the_norms_of_an_epoch_survive_a_stop_after_its_last_step(tmp_path: Path) -> None:
    whole = recorded()
    with pytest.raises(KeyboardInterrupt):
        train(job("mlp", checkpoint_every="1steps"), checkpoints=tmp_path, listeners=[_AfterStep(2)])
    recorder = Recorder()
    train(job("mlp"), checkpoints=tmp_path, resume=True, listeners=[recorder])
    assert [record.gradients for record in recorder.epochs] == [record.gradients for record in whole.epochs[1:]]


@final
class _AfterStep(Listener):
    """Presses Ctrl-C when an epoch's last step is saved and its record is made."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        if record.epoch == self._epoch:
            raise KeyboardInterrupt


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    record = StepRecord(1, 1, {"loss": float("nan")}, {"posterior": float("inf")}, {}, 1e-3, 1.0, {}, 0.1)
    StepsFile(tmp_path / "steps.jsonl").logged(record)
    line = (tmp_path / "steps.jsonl").read_text()
    assert "NaN" not in line
    assert "Infinity" not in line
    assert json.loads(line)["train"] == {"loss": None}


# The latents.


def test_the_latents_are_those_of_the_validation_rows() -> None:
    recorder = Recorder()
    whole = job("mlp", keep="last")
    objective, _, _ = train(whole, listeners=[recorder])
    found = recorder.epochs[-1].latents
    model = objective.model.eval()
    with torch.no_grad():
        batch = next(whole.batches("validation").fixed())
        q = model.encode(batch)
        mean, variance = q.mean.double(), q.variance.double()
        kl = 0.5 * (mean**2 + variance - 1 - variance.log()).mean(0)  # Kingma and Welling (2013), appendix B
        z = torch.distributions.Normal(q.mean, q.stddev).sample((4_000,))
        log_px = model.likelihood.log_px(z, batch).double()
    assert found["kl"] == pytest.approx(kl.tolist(), abs=1e-5)
    assert found["rate"] == pytest.approx(float(kl.sum()), rel=1e-6)
    assert found["active"] == int((mean.var(0, correction=0) > 0.01).sum())
    error = float(log_px.std(0).mean()) / len(batch) ** 0.5
    assert -found["distortion"] == pytest.approx(float(log_px.mean()), abs=4 * error)


def test_rate_and_distortion_are_known_where_the_objective_tells_neither() -> None:
    for name in ("iwae", "no closed form"):
        found = recorded(name).epochs[-1]
        assert found.latents["rate"] >= 0
        assert "kl" not in found.latents or name == "iwae"
    assert {"kl", "rate"}.isdisjoint(recorded("autoencoder").epochs[-1].latents)


def test_latents_are_looked_at_after_so_many_steps_and_at_both_ends() -> None:
    epochs = LATENT_STEPS // STEPS + 5
    with_latents = [record.epoch for record in recorded(epochs=epochs, patience=epochs).epochs if record.latents]
    assert with_latents == [1, LATENT_STEPS // STEPS + 1, epochs]
