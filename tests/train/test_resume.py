"""A training that was stopped and taken up again must end bit for bit where the uninterrupted one does."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import pytest
import torch

from nelbo.errors import StorageError
from nelbo.run import Run, fit
from nelbo.settings import resolve
from nelbo.storage import read_tensors
from nelbo.train import Job, TrainState, prepare, train
from nelbo.train.monitor import EpochRecord, Listener
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


@pytest.fixture(autouse=True)
def _save_at_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nelbo.train.trainer.SAVE_EVERY", 0.0)


def job(name: str, **settings: Any) -> Job:
    data, special = SETTINGS[name]
    return prepare(resolve(SMALL, {"epochs": EPOCHS, "source": data}, special, settings), rows_of(data))


def comparable(state: TrainState) -> dict[str, Any]:
    """Everything but the clock."""
    return {key: value for key, value in vars(state).items() if key not in {"seconds", "best_weights"}}


@EVERY
def test_a_resumed_training_ends_bit_for_bit_where_the_uninterrupted_one_does(name: str, tmp_path: Path) -> None:
    whole, whole_state, _ = train(job(name))
    checkpoint, stop = tmp_path / "c.safetensors", 2 if name == "steps" else 3
    with pytest.raises(KeyboardInterrupt):
        train(job(name), checkpoint=checkpoint, listeners=[Interrupt(stop)])
    torch.manual_seed(99)  # another process has another state
    resumed, state, _ = train(job(name), checkpoint=checkpoint, resume=True)
    assert state.epoch > stop
    assert comparable(state) == comparable(whole_state)
    weights, expected = resumed.state_dict(), whole.state_dict()
    assert weights.keys() == expected.keys()
    assert [key for key in weights if not weights[key].equal(expected[key])] == []
    assert state.best_weights.keys() == whole_state.best_weights.keys()
    assert all(state.best_weights[key].equal(value) for key, value in whole_state.best_weights.items())


@pytest.mark.parametrize("name", ["conv-dropout", "two-phases-conv"])
def test_a_checkpoint_is_a_function_of_the_job_whatever_the_interruptions(name: str, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.safetensors", tmp_path / "cut.safetensors"
    train(job(name), checkpoint=whole)
    for epoch in (1, 2, 4):
        with pytest.raises(KeyboardInterrupt):
            train(job(name), checkpoint=cut, resume=cut.exists(), listeners=[Interrupt(epoch)])
    train(job(name), checkpoint=cut, resume=True)
    expected, found = read_tensors(whole)[0], read_tensors(cut)[0]
    assert found.keys() == expected.keys()
    assert [key for key in expected if not found[key].equal(expected[key])] == []
    phases = {key.split("/")[1] for key in found if key.startswith("optimiser/")}
    assert phases == ({"main", "discriminator"} if "two" in name else {"main"})


def test_a_run_resumed_after_its_end_stays_as_it_is(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    first, state, _ = train(job("mlp"), checkpoint=checkpoint)
    again, state_again, _ = train(job("mlp"), checkpoint=checkpoint, resume=True)
    assert comparable(state_again) == comparable(state)
    assert all(value.equal(again.state_dict()[key]) for key, value in first.state_dict().items())


def test_a_training_that_ran_out_of_time_goes_on_to_the_same_end(tmp_path: Path) -> None:
    checkpoint = tmp_path / "c.safetensors"
    whole, whole_state, _ = train(job("mlp"))
    _, state, _ = train(job("mlp", time_limit="0.0001s"), checkpoint=checkpoint)
    assert state.epoch == 1
    assert state.stopped.startswith("time limit")
    resumed, state, _ = train(job("mlp"), checkpoint=checkpoint, resume=True)
    assert comparable(state) == comparable(whole_state)
    assert all(value.equal(resumed.state_dict()[key]) for key, value in whole.state_dict().items())


def test_a_resumed_run_has_one_metrics_line_an_epoch_even_after_a_cut_line(tmp_path: Path) -> None:
    whole = fit(job("mlp"), tmp_path / "whole")
    run = Run(tmp_path / "cut")
    with pytest.raises(KeyboardInterrupt):
        fit(job("mlp"), run.folder, listeners=[Interrupt(3)])
    with run.metrics_file.open("a") as file:
        file.write('{"epoch": 4, "step": 12, "train": {"lo')
    fit(job("mlp"), run.folder, resume=True)
    assert [record["epoch"] for record in run.metrics()] == list(range(1, EPOCHS + 1))
    timeless = [
        [{k: v for k, v in record.items() if k not in {"seconds", "samples_per_second"}} for record in each.metrics()]
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
            fit(job("mlp"), tmp_path)
    run = fit(job("mlp"), tmp_path, resume=True)
    assert [record["epoch"] for record in run.metrics()] == list(range(1, EPOCHS + 1))


@pytest.mark.parametrize("damage", ["cut", "flipped", "another model"])
def test_a_damaged_checkpoint_is_refused_in_one_sentence(tmp_path: Path, damage: str) -> None:
    checkpoint = tmp_path / "c.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(job("mlp"), checkpoint=checkpoint, listeners=[Interrupt(2)])
    content = bytearray(checkpoint.read_bytes())
    if damage == "cut":
        checkpoint.write_bytes(content[: len(content) // 2])
    if damage == "flipped":
        content[-9] ^= 1
        checkpoint.write_bytes(content)
    other = job("mlp", hidden=(9, 6)) if damage == "another model" else job("mlp")
    with pytest.raises(StorageError, match=r"damaged|altered|another model") as caught:
        train(other, checkpoint=checkpoint, resume=True)
    assert "\n" not in str(caught.value)
