"""Loggers, read back by the real packages; pictures; and what is said where a package is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nelbo.errors import ConfigError, MissingExtraError
from nelbo.report.gallery import Gallery
from nelbo.runs import Run, train_run
from nelbo.settings import resolve
from nelbo.train import Job, prepare, train
from nelbo.train.job import make_trainer
from nelbo.train.loggers import require
from nelbo.train.loggers.logger import of_epoch, of_step
from nelbo.train.monitor import EpochRecord, Listener, StepRecord
from zoo import SMALL, rows_of


def job(data: str = "levels", **settings: object) -> Job:
    given = {"source": data, "epochs": 3, "log_every": "2steps", "images_every": "2epochs"}
    return prepare(resolve(SMALL, given, settings), rows_of(data))


class Stop(Listener):
    """Presses Ctrl-C after an epoch."""

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt


def stopped_and_resumed(folder: Path, name: str) -> Run:
    """A run that logs, stopped in its second epoch, whose checkpoint is that of the first, and taken up again."""
    made = job(log=(name,), checkpoint_every="1epoch")
    with pytest.raises(KeyboardInterrupt):
        train_run(made, folder, listeners=[Stop()], painter=Gallery(made))
    return train_run(made, folder, resume=True, painter=Gallery(made))


# Names and packages.


def test_an_unknown_logger_is_refused_with_the_known() -> None:
    with pytest.raises(ConfigError, match="unknown logger 'tensorbord'; did you mean 'tensorboard'"):
        require(["tensorbord"])


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_said_before_anything_is_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda each: None if each == name else found(each))
    with pytest.raises(MissingExtraError, match=rf"--log {name} needs {name}; .*pip install 'nelbo\[{name}\]'"):
        train_run(job(log=(name,)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_scalars_have_paths_and_are_finite() -> None:
    latents = {"kl": [0.5, 1.5], "active": 2, "rate": 2.0}
    epoch = EpochRecord(
        1, 10, {"loss": 1.0, "discriminator: loss": 0.7}, {"bound": float("nan")}, {"beta": 1.0}, 1e-3, 5.0, 2.0,
        {"posterior": 3.0}, {"resident": 100.0}, latents,
    )  # fmt: skip
    found = of_epoch(epoch)
    assert found["train/discriminator/loss"] == 0.7
    assert found["latents/kl/001"] == 1.5
    assert found["gradients/posterior"] == 3.0
    assert "validation/bound" not in found
    step = StepRecord(1, 2, {"bound": -3.0}, {"posterior": 4.0}, {"beta": 0.5}, 1e-3, 5.0, {}, 1.0)
    assert of_step(step)["step/bound"] == -3.0
    assert of_step(step)["step/weights/beta"] == 0.5


# Pictures.


def test_pictures_come_at_their_rhythm_and_change_nothing(tmp_path: Path) -> None:
    made = job("bytes", network="conv", keep="last")
    run = train_run(made, tmp_path / "run", painter=Gallery(made))
    steps = [record["step"] for record in run.metrics()]
    names = sorted(file.name for file in (run.folder / "images").iterdir())
    assert names == [f"{name}-{step:09d}.png" for name in ("reconstructions", "samples") for step in steps[1:]]
    expected, _, _ = train(job("bytes", network="conv", keep="last", images_every=None))
    weights = run.load().model.state_dict()
    trained = expected.state_dict()
    assert all(value.equal(trained[f"model.{name}"]) for name, value in weights.items())


def test_the_upper_row_holds_the_images_themselves(tmp_path: Path) -> None:
    made = job()
    train_run(made, tmp_path, painter=Gallery(made))
    picture = np.asarray(Image.open(next((tmp_path / "images").glob("reconstructions-*.png"))).convert("RGB"))
    first = made.data.x[made.split.validation[0]].flatten()[:1].float() * 255 / 16
    assert picture[0, 0, 0] == int(torch.round(first))


def test_pictures_of_what_is_no_image_are_refused() -> None:
    with pytest.raises(ConfigError, match="--images-every draws images, but 'real' holds none"):
        Gallery(job("real"))
    with pytest.raises(ConfigError, match="pictures are made after epochs"):
        make_trainer(job(images_every="5steps"))


# The real packages.


@pytest.mark.loggers
def test_tensorboard_reads_what_was_logged(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = stopped_and_resumed(tmp_path / "run", "tensorboard")
    events = EventAccumulator(str(run.folder / "tensorboard"), size_guidance={"images": 0}).Reload()
    for name, part in (("train/bound", "train"), ("validation/bound", "validation")):
        found = [(event.step, event.value) for event in events.Scalars(name)]
        assert [step for step, _ in found] == [record["step"] for record in run.metrics()]
        bounds = [record[part]["bound"] for record in run.metrics()]
        assert [value for _, value in found] == pytest.approx(bounds, rel=1e-6)
    assert [event.step for event in events.Scalars("step/bound")] == [record["step"] for record in run.steps()]
    assert set(events.Tags()["images"]) == {"reconstructions", "samples"}


@pytest.mark.loggers
def test_mlflow_holds_what_was_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow import MlflowClient

    run = stopped_and_resumed(tmp_path / "run", "mlflow")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (logged,) = client.search_runs([client.get_experiment_by_name("nelbo").experiment_id])
    assert logged.info.status == "FINISHED"
    assert logged.data.params["latent"] == "2"
    history = {each.step: each.value for each in client.get_metric_history(logged.info.run_id, "validation/bound")}
    assert history == pytest.approx({r["step"]: r["validation"]["bound"] for r in run.metrics()})
    steps = {each.step for each in client.get_metric_history(logged.info.run_id, "step/bound")}
    assert steps == {record["step"] for record in run.steps()}
    assert len(client.list_artifacts(logged.info.run_id)) == 4


@pytest.mark.loggers
def test_wandb_works_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = stopped_and_resumed(tmp_path / "run", "wandb")
    files = sorted((run.folder / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2
    assert len({file.stem for file in files}) == 1  # one run of theirs, in two parts
    assert b"validation/bound" in files[-1].read_bytes()
