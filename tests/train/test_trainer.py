"""The loop: the updates it makes, the weights it keeps, when it stops, and what it says when the loss breaks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, final

import pytest
import torch
from torch import Tensor, nn

from nelbo.core import SinglePhase
from nelbo.errors import ConfigError, TrainingError
from nelbo.runs import Run, train_run
from nelbo.settings import resolve
from nelbo.storage import read_tensors
from nelbo.train import Job, TrainState, prepare, train
from nelbo.train.checkpoint import Checkpoints
from nelbo.train.job import make_trainer
from nelbo.train.monitor import EpochRecord, Listener
from zoo import SMALL, rows_of

EPOCHS = 5
STEPS = 3  # of an epoch: 48 training rows in batches of 16


def job(data: str = "real", **settings: Any) -> Job:
    return prepare(resolve(SMALL, {"epochs": EPOCHS, "source": data}, settings), rows_of(data))


@final
class Recorder(Listener):
    """Keeps everything it is told."""

    def __init__(self) -> None:
        self.records: list[EpochRecord] = []
        self.best: list[bool] = []
        self.start: tuple[int, int, int] | None = None
        self.reason = ""

    def started(self, total_epochs: int, rows: int, epoch: int) -> None:
        self.start = (total_epochs, rows, epoch)

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        self.records.append(record)
        self.best.append(is_best)

    def finished(self, reason: str) -> None:
        self.reason = reason


def run(**settings: Any) -> tuple[SinglePhase, TrainState, Recorder]:
    recorder = Recorder()
    objective, state, _ = train(job(**settings), listeners=[recorder])
    return objective, state, recorder


# The updates.


def by_hand(job: Job, warmup: int = 0, clip: float | None = None) -> list[dict[str, Tensor]]:
    """The weights after each epoch of a plain loop: Adam, cosine decay, linear warm-up of beta."""
    settings = job.settings
    objective, batches = job.build(), job.batches("train")
    adam = torch.optim.Adam(objective.parameters(), lr=settings.lr, fused=True)
    total, step, weights = EPOCHS * STEPS, 0, []
    torch.manual_seed(settings.seed + 1)
    for epoch in range(1, EPOCHS + 1):
        objective.train()
        for batch in batches.epoch(epoch):
            adam.param_groups[0]["lr"] = settings.lr * (1 + math.cos(math.pi * step / total)) / 2
            beta = settings.beta * min(1.0, step / warmup) if warmup else settings.beta
            objective.get_buffer("regulariser.beta.value").fill_(beta)
            adam.zero_grad()
            objective(batch).loss.backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(objective.parameters(), clip)
            adam.step()
            step += 1
        weights.append({name: value.clone() for name, value in objective.named_parameters()})
    return weights


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ("real", {}),
        ("levels", {"network": "conv:dropout=0.2"}),
        ("binary", {"beta": 2.0, "warmup": "linear:0.4"}),
        ("real", {"clip": 0.5}),
    ],
    ids=["plain", "dropout", "warmup", "clip"],
)
def test_the_trainer_makes_the_updates_of_a_plain_loop(data: str, settings: dict[str, Any]) -> None:
    this = job(data, keep="last", **settings)
    warmup = round(0.4 * EPOCHS * STEPS) if "warmup" in settings else 0
    expected = by_hand(this, warmup, settings.get("clip"))[-1]
    weights = dict(train(this)[0].named_parameters())
    assert all(weights[name].equal(value) for name, value in expected.items())


def test_training_lowers_the_loss() -> None:
    _, _, recorder = run(epochs=200, lr=1e-2, patience=200)
    assert recorder.records[-1].train["loss"] < recorder.records[0].train["loss"] - 1.0


def test_a_run_of_steps_makes_exactly_as_many(tmp_path: Path) -> None:
    _, state, recorder = run(epochs=None, steps=7)
    assert state.step == 7
    assert [record.step for record in recorder.records] == [3, 6, 7]
    assert recorder.start == (3, 48, 0)
    assert recorder.reason == state.stopped == "all 7 steps done"


def test_beta_rises_over_the_warmup_and_ends_at_its_final_value() -> None:
    objective, _, recorder = run(beta=2.0, warmup=f"linear:{2 * STEPS}steps")
    # Of the last step of each epoch: steps 2, 5, 8, ... of 6.
    assert [record.weights["beta"] for record in recorder.records] == pytest.approx([2 * 2 / 6, 2 * 5 / 6, 2, 2, 2])
    assert float(objective.get_buffer("regulariser.beta.value")) == 2.0


def test_validation_is_at_the_final_beta_during_the_warmup() -> None:
    _, _, recorder = run(beta=2.0, warmup="linear:0.8", lr=1e-30)
    for record in recorder.records:
        held = record.validation
        assert held["loss"] == pytest.approx(-held["likelihood"] + 2.0 * held["kl"], rel=1e-6)
        assert held["bound"] == pytest.approx(held["likelihood"] - held["kl"], rel=1e-6)
    assert len({record.validation["loss"] for record in recorder.records}) == 1  # weights and noise stay


# What is kept.


def test_the_best_weights_by_validation_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    this = job()
    weights = by_hand(this)
    losses = iter([5.0, 3.0, 4.0, math.nan, 3.5])
    monkeypatch.setattr("nelbo.train.trainer.Trainer._validate", lambda self: {"loss": next(losses)})
    recorder = Recorder()
    objective, state, _ = train(this, listeners=[recorder])
    assert (state.best, state.best_epoch) == (3.0, 2)
    assert recorder.best == [True, True, False, False, False]
    assert all(value.equal(dict(objective.named_parameters())[name]) for name, value in weights[1].items())


def test_the_last_weights_are_kept_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    this = job(keep="last")
    losses = iter([1.0, 2.0, 3.0, 4.0, 5.0])
    monkeypatch.setattr("nelbo.train.trainer.Trainer._validate", lambda self: {"loss": next(losses)})
    weights = dict(train(this)[0].named_parameters())
    assert all(weights[name].equal(value) for name, value in by_hand(this)[-1].items())


def test_without_validation_rows_the_last_weights_are_kept() -> None:
    this = job(validation=0.0)
    objective, state, _ = train(this)
    assert state.best is None
    expected = job(validation=0.0, keep="last")
    assert all(p.equal(q) for p, q in zip(objective.parameters(), train(expected)[0].parameters(), strict=True))


# When it stops.


def test_patience_runs_out_after_as_many_epochs_without_improvement() -> None:
    _, state, _ = run(epochs=20, lr=1e-30, patience=3)
    assert (state.epoch, state.best_epoch) == (4, 1)
    assert state.stopped == "no better validation loss in 3 epochs"


def test_patience_starts_after_the_warmup() -> None:
    _, state, recorder = run(epochs=20, lr=1e-30, patience=3, warmup="linear:8epochs")
    assert state.epoch == 8 + 3
    assert recorder.records[-1].weights == {"beta": 1.0}


def test_the_best_epoch_is_that_of_the_weights_kept_also_during_the_warmup() -> None:
    _, state, recorder = run(epochs=20, lr=1e-30, patience=3, warmup="linear:8epochs")
    losses = [record.validation["loss"] for record in recorder.records]
    assert state.best_epoch == 1 + losses.index(min(losses))


def test_a_time_limit_ends_the_training_at_an_epochs_end() -> None:
    _, state, recorder = run(time_limit="0.000001s")
    assert state.epoch == 1
    assert recorder.reason.startswith("time limit")


# What is refused.


@pytest.mark.parametrize("warmup", ["linear:6epochs", "linear:16steps", "cyclic:100epochs"])
def test_a_warmup_longer_than_the_run_is_refused(warmup: str) -> None:
    with pytest.raises(ConfigError, match=r"beta would never reach its final value; shorten it"):
        train(job(warmup=warmup))


@pytest.mark.parametrize(
    "settings",
    [
        {"warmup": "linear:6epochs"},
        {"optimizer": "adma"},
        {"lr_schedule": "cosin"},
        {"time_limit": "soon"},
        {"device": "gpu"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_refused_setting_leaves_no_run_folder(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        train_run(job(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# A loss that breaks.


@final
class Poison(Listener):
    """Spoils one parameter at the end of an epoch."""

    def __init__(self, objective: nn.Module, name: str, epoch: int) -> None:
        self.parameter = objective.get_parameter(name)
        self.epoch = epoch

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        if record.epoch == self.epoch:
            with torch.no_grad():
                self.parameter.flatten()[0] = math.nan


def test_a_non_finite_loss_names_epoch_step_term_and_parameter_and_keeps_the_checkpoint(
    tmp_path: Path,
) -> None:
    trainer = make_trainer(job(checkpoint_every="1epoch"), tmp_path)
    name = "model.likelihood.network.layers.2.weight"
    trainer.listeners = [Poison(trainer.objective, name, epoch=2)]
    with pytest.raises(TrainingError) as caught:
        trainer.fit()
    message = str(caught.value)
    assert "epoch 3, step 7" in message
    assert "term 'likelihood'" in message
    assert f"parameter '{name}' holds NaN or infinity" in message
    assert message.endswith("lower --lr or add --clip 100 (the last good checkpoint is kept)")
    kept, _ = read_tensors(Checkpoints(tmp_path).files[0])
    assert all(bool(torch.isfinite(t).all()) for key, t in kept.items() if key.startswith("weights/"))
    assert trainer.state.epoch == 2


def test_a_non_finite_loss_does_not_reach_the_weights() -> None:
    trainer = make_trainer(job())
    name = "model.posterior.network.layers.0.bias"
    trainer.listeners = [Poison(trainer.objective, name, epoch=1)]
    with pytest.raises(TrainingError, match=r"term '(likelihood|kl)'"):
        trainer.fit()
    spoilt = [n for n, p in trainer.objective.named_parameters() if not bool(torch.isfinite(p).all())]
    assert spoilt == [name]


def test_a_learning_rate_that_explodes_is_told_in_one_sentence() -> None:
    with pytest.raises(TrainingError, match=r"the loss turned non-finite in epoch 1, step \d.*lower --lr") as caught:
        run(lr=1e25, epochs=20)
    assert "\n" not in str(caught.value)
    assert "checkpoint" not in str(caught.value)  # there is none


def test_a_run_that_broke_keeps_its_configuration_and_holds_no_model(tmp_path: Path) -> None:
    with pytest.raises(TrainingError):
        train_run(job(lr=1e25), tmp_path / "run")
    broken = Run(tmp_path / "run")
    assert broken.exists
    assert not broken.is_complete


# What it leaves alone.


@pytest.mark.parametrize("settings", [{}, {"network": "conv:dropout=0.5"}, {"binarize": "dynamic"}], ids=str)
def test_training_leaves_the_global_random_state_alone(settings: dict[str, Any]) -> None:
    before = torch.get_rng_state()
    train(job("levels", **settings))
    assert torch.get_rng_state().equal(before)


def test_a_training_that_fails_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    with pytest.raises(TrainingError):
        run(lr=1e25)
    assert torch.get_rng_state().equal(before)


def test_training_gives_back_the_number_of_threads() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []

    class Look(Listener):
        def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
            seen.append(torch.get_num_threads())

    train(job(threads=2, epochs=1), listeners=[Look()])
    assert seen == [2]
    assert torch.get_num_threads() == before
