"""A training that was stopped and taken up again must end bit for bit where the uninterrupted one does."""

from __future__ import annotations

import importlib
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import pytest
import torch

from nelbo.errors import StorageError
from nelbo.runs import Run, train_run
from nelbo.settings import resolve
from nelbo.storage import read_tensors, write_tensors
from nelbo.train import Job, TrainState, prepare, train
from nelbo.train.checkpoint import Checkpoints
from nelbo.train.interruption import Interrupted
from nelbo.train.monitor import EpochRecord, Ledger, Listener
from zoo import SMALL, rows_of

EPOCHS = 6

SETTINGS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "mlp": ("real", {}),
    "conv-dropout": ("levels", {"network": "conv:dropout=0.3"}),
    "dynamic-binarisation": ("levels", {"binarize": "dynamic"}),
    "dequantised-sampled-kl": ("levels", {"transform": "dequantize", "objective": "elbo:kl=sampled", "samples": 2}),
    "warmup": ("binary", {"warmup": "linear:0.8", "beta": 3.0}),
    "capacity": ("binary", {"objective": "capacity:nats=2", "warmup": "linear:0.8"}),
    "prior-draws": ("binary", {"objective": "mmd"}),
    "two-phases": ("binary", {"objective": "factor:hidden=8", "beta": 2.0, "warmup": "linear:0.8"}),
    "two-phases-conv": ("levels", {"objective": "factor:hidden=8", "network": "conv:dropout=0.3"}),
    "rmsprop": ("real", {"optimizer": "rmsprop:centered=true,momentum=0.5"}),
    "adagrad": ("real", {"optimizer": "adagrad", "lr": 0.02}),
    "amsgrad": ("real", {"optimizer": "adamw:amsgrad=true"}),
    "momentum": ("real", {"optimizer": "sgd:momentum=0.9", "lr": 1e-4}),
    "steps": ("binary", {"steps": 17, "epochs": None}),
    "last": ("binary", {"keep": "last", "clip": 1.0, "lr_schedule": "step:at=0.5,factor=0.1"}),
    "no-validation": ("real", {"validation": 0.0}),
}
EVERY = pytest.mark.parametrize("name", SETTINGS)


@final
class Interrupt(Listener):
    """Presses Ctrl-C at the end of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        if record.epoch == self.epoch:
            raise KeyboardInterrupt


def job(name: str, **settings: Any) -> Job:
    data, special = SETTINGS[name]
    given = {"epochs": EPOCHS, "source": data, "checkpoint_every": "1epoch"}
    return prepare(resolve(SMALL, given, special, settings), rows_of(data))


def comparable(state: TrainState) -> dict[str, Any]:
    """Everything but the clock."""
    return {key: value for key, value in state.as_json().items() if key != "seconds"}


@EVERY
def test_a_resumed_training_ends_bit_for_bit_where_the_uninterrupted_one_does(name: str, tmp_path: Path) -> None:
    whole, whole_state, _ = train(job(name))
    checkpoint, stop = tmp_path / "checkpoints", 2 if name == "steps" else 3
    with pytest.raises(KeyboardInterrupt):
        train(job(name), checkpoints=checkpoint, listeners=[Interrupt(stop)])
    torch.manual_seed(99)  # another process has another state
    resumed, state, _ = train(job(name), checkpoints=checkpoint, resume=True)
    assert state.epoch > stop
    assert comparable(state) == comparable(whole_state)
    weights, expected = resumed.state_dict(), whole.state_dict()
    assert weights.keys() == expected.keys()
    assert [key for key in weights if not weights[key].equal(expected[key])] == []
    assert state.best_weights.keys() == whole_state.best_weights.keys()
    assert all(state.best_weights[key].equal(value) for key, value in whole_state.best_weights.items())


@pytest.mark.parametrize("name", ["conv-dropout", "two-phases-conv"])
def test_a_checkpoint_is_a_function_of_the_job_whatever_the_interruptions(name: str, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(job(name), checkpoints=whole)
    for epoch in (1, 2, 4):
        with pytest.raises(KeyboardInterrupt):
            train(job(name), checkpoints=cut, resume=cut.exists(), listeners=[Interrupt(epoch)])
    train(job(name), checkpoints=cut, resume=True)
    expected, found = (read_tensors(Checkpoints(folder).files[0])[0] for folder in (whole, cut))
    assert found.keys() == expected.keys()
    assert [key for key in expected if not found[key].equal(expected[key])] == []
    phases = {key.split("/")[1] for key in found if key.startswith("optimiser/")}
    assert phases == ({"main", "discriminator"} if "two" in name else {"main"})


def test_a_run_resumed_after_its_end_stays_as_it_is(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints"
    first, state, _ = train(job("mlp"), checkpoints=checkpoint)
    again, state_again, _ = train(job("mlp"), checkpoints=checkpoint, resume=True)
    assert comparable(state_again) == comparable(state)
    assert all(value.equal(again.state_dict()[key]) for key, value in first.state_dict().items())


def test_a_training_that_ran_out_of_time_goes_on_to_the_same_end(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoints"
    whole, whole_state, _ = train(job("mlp"))
    _, state, _ = train(job("mlp", time_limit="0.0001s"), checkpoints=checkpoint)
    assert state.epoch == 1
    assert state.stopped.startswith("time limit")
    resumed, state, _ = train(job("mlp"), checkpoints=checkpoint, resume=True)
    assert comparable(state) == comparable(whole_state)
    assert all(value.equal(resumed.state_dict()[key]) for key, value in whole.state_dict().items())


def test_a_resumed_run_has_one_metrics_line_an_epoch_even_after_a_cut_line(tmp_path: Path) -> None:
    whole = train_run(job("mlp"), tmp_path / "whole")
    run = Run(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        train_run(job("mlp"), run.folder, listeners=[Interrupt(3)])
    with run.metrics_file.open("a") as file:
        file.write('{"epoch": 4, "step": 12, "train": {"lo')
    train_run(job("mlp"), run.folder, resume=True)
    assert [record["epoch"] for record in run.metrics()] == list(range(1, EPOCHS + 1))
    timeless = [
        [
            {k: v for k, v in record.items() if k not in {"seconds", "samples_per_second", "memory"}}
            for record in each.metrics()
        ]
        for each in (whole, run)
    ]
    assert timeless[0] == timeless[1]
    assert all(json.loads(line) for line in run.metrics_file.read_text().splitlines())


@pytest.mark.parametrize(
    "instant",
    ["checkpoint", "metrics"],
)
def test_a_kill_while_an_epoch_is_put_down_loses_no_metrics_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instant: str
) -> None:
    home, name = {
        "checkpoint": ("nelbo.train.trainer", "save_checkpoint"),
        "metrics": ("nelbo.train.monitor", "MetricsFile.finished_epoch"),
    }[instant]
    original = getattr(importlib.import_module(home), name.split(".")[0])
    original = getattr(original, name.split(".")[1]) if "." in name else original
    calls: list[int] = []

    def killed(*args: object) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(f"{home}.{name}", killed)
        with pytest.raises(KeyboardInterrupt):
            train_run(job("mlp"), tmp_path)
    run = train_run(job("mlp"), tmp_path, resume=True)
    assert [record["epoch"] for record in run.metrics()] == list(range(1, EPOCHS + 1))


@pytest.mark.parametrize("damage", ["cut", "flipped", "newer"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_it_named(tmp_path: Path, damage: str) -> None:
    whole, _, _ = train(job("mlp"))
    with pytest.raises(KeyboardInterrupt):
        train(job("mlp"), checkpoints=tmp_path, listeners=[Interrupt(4)])
    newest, before = Checkpoints(tmp_path).files
    content = bytearray(newest.read_bytes())
    if damage == "cut":
        newest.write_bytes(content[: len(content) // 2])
    if damage == "flipped":
        content[-9] ^= 1
        newest.write_bytes(content)
    if damage == "newer":
        tensors, metadata = read_tensors(newest)
        write_tensors(newest, tensors, {**metadata, "format": "99"})
    words = rf"(damaged|altered|newer nelbo).*go on from it with --checkpoint {before.stem}"
    with pytest.raises(StorageError, match=words) as caught:
        train(job("mlp"), checkpoints=tmp_path, resume=True)
    assert "\n" not in str(caught.value)
    resumed, _, _ = train(job("mlp"), checkpoints=tmp_path, resume=True, chosen=before.stem)
    assert all(value.equal(resumed.state_dict()[key]) for key, value in whole.state_dict().items())
    assert newest.with_suffix(".aside").exists() or newest in Checkpoints(tmp_path).files


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(job("mlp"), checkpoints=tmp_path, listeners=[Interrupt(2)])
    with pytest.raises(StorageError, match="another model"):
        train(job("mlp", hidden=(9, 6)), checkpoints=tmp_path, resume=True)


def test_a_checkpoint_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    train(job("mlp"), checkpoints=tmp_path)
    with pytest.raises(StorageError, match=r"no checkpoint 'step-5'; it holds: step-0000000\d\d, step-"):
        train(job("mlp"), checkpoints=tmp_path, resume=True, chosen="step-5")


# Within an epoch.


@final
class Cut(Listener):
    """Breaks the training off after some steps."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def stepped(self, epoch: int, share: float, ledger: Ledger) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("every", ["1steps", "2steps", "0.0001s"])
@EVERY
def test_a_training_goes_on_within_an_epoch(
    name: str, every: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nelbo.train.trainer.SHOW_EVERY", 0.0)
    whole, whole_state, _ = train(job(name, ema=0.9))
    for cut in (2, 3, 3):
        with pytest.raises(KeyboardInterrupt):
            train(job(name, ema=0.9, checkpoint_every=every), checkpoints=tmp_path, resume=True, listeners=[Cut(cut)])
    resumed, state, _ = train(job(name, ema=0.9, checkpoint_every=every), checkpoints=tmp_path, resume=True)
    assert comparable(state) == comparable(whole_state)
    weights, expected = resumed.state_dict(), whole.state_dict()
    assert [key for key in weights if not weights[key].equal(expected[key])] == []


def test_metrics_of_an_epoch_that_was_broken_off_are_those_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nelbo.train.trainer.SHOW_EVERY", 0.0)
    whole = train_run(job("conv-dropout"), tmp_path / "whole")
    every = {"checkpoint_every": "1steps"}
    with pytest.raises(KeyboardInterrupt):
        train_run(job("conv-dropout", **every), tmp_path / "cut", listeners=[Cut(5)])
    run = train_run(job("conv-dropout", **every), tmp_path / "cut", resume=True)
    for one, other in zip(run.metrics(), whole.metrics(), strict=True):
        assert one["train"] == pytest.approx(other["train"], rel=1e-12)
        assert one["validation"] == other["validation"]


def test_the_last_few_checkpoints_are_kept(tmp_path: Path) -> None:
    train(job("mlp", checkpoint_every="1steps", keep_checkpoints=3), checkpoints=tmp_path)
    names = [file.stem for file in Checkpoints(tmp_path).files]
    assert names == ["step-000000018", "step-000000017", "step-000000016"]


@final
class Signal(Listener):
    """Sends this process a signal within a step."""

    def __init__(self, number: signal.Signals, step: int) -> None:
        self.number, self.left = number, step

    def stepped(self, epoch: int, share: float, ledger: Ledger) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_the_step_and_saves(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nelbo.train.trainer.SHOW_EVERY", 0.0)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    whole, _, _ = train(job("mlp"))
    with pytest.raises(Interrupted) as caught:
        train(job("mlp", checkpoint_every="1h"), checkpoints=tmp_path, listeners=[Signal(number, 4)])
    assert caught.value.signal == number
    assert [file.stem for file in Checkpoints(tmp_path).files] == ["step-000000004"]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    resumed, _, _ = train(job("mlp"), checkpoints=tmp_path, resume=True)
    assert all(value.equal(resumed.state_dict()[key]) for key, value in whole.state_dict().items())
