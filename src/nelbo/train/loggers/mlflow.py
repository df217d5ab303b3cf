"""MLflow: a run of the experiment `nelbo`, in an SQLite store beside the runs, or where MLFLOW_TRACKING_URI says."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from nelbo.errors import ConfigError
from nelbo.settings import Settings
from nelbo.storage import read_json, write_json
from nelbo.train.loggers.logger import Logger, of_epoch, of_step
from nelbo.train.monitor import EpochRecord, StepRecord

if TYPE_CHECKING:
    from PIL.Image import Image

EXPERIMENT = "nelbo"
AT_ONCE = 1_000  # metrics that MLflow takes in one call


@final
class MLflowLogger(Logger):
    """Metrics, parameters and pictures of one MLflow run, whose number is kept in `RUN/mlflow.json`.

    A resumed run goes on with it. MLflow cannot unsay a metric: what is done again stands there twice.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        from mlflow import MlflowClient

        self._folder = folder
        self._settings = settings
        beside = folder.absolute().parent
        given = os.environ.get("MLFLOW_TRACKING_URI")
        self._uri = given or f"sqlite:///{beside / 'mlflow.db'}"
        self._artifacts = None if given else (beside / "mlartifacts").as_uri()
        self._make = MlflowClient
        self._client: Any = None
        self._run = ""
        self._ended = "KILLED"

    def stands_at(self, step: int) -> None:
        from mlflow.exceptions import MlflowException

        self._folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        try:
            self._client = self._make(self._uri)
            self._run = self._again() if step else self._fresh()
        except MlflowException as problem:
            raise ConfigError(
                f"MLflow cannot write to {self._uri} ({str(problem).splitlines()[0]}); check MLFLOW_TRACKING_URI, or "
                "leave --log mlflow out"
            ) from problem

    def logged(self, record: StepRecord) -> None:
        self._add(of_step(record), record.step)

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        self._add(of_epoch(record), record.step)

    def painted(self, step: int, epoch: int, pictures: Mapping[str, Image]) -> None:
        for name, picture in pictures.items():
            self._client.log_image(self._run, picture.convert("RGB"), artifact_file=f"{name}-{step:09d}.png")

    def finished(self, reason: str) -> None:
        self._client.set_tag(self._run, "stopped", reason)
        self._ended = "FINISHED"

    def close(self) -> None:
        if self._run:
            self._client.set_terminated(self._run, self._ended)

    def _fresh(self) -> str:
        from mlflow.entities import Param

        known = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else self._client.create_experiment(EXPERIMENT, self._artifacts)
        run = str(self._client.create_run(experiment, run_name=self._folder.name).info.run_id)
        settings = self._settings.model_dump(mode="json")
        self._client.log_batch(run, params=[Param(name, str(value)) for name, value in settings.items()])
        write_json(self._folder / "mlflow.json", {"run": run, "tracking_uri": self._uri})
        return run

    def _again(self) -> str:
        file = self._folder / "mlflow.json"
        if not file.exists():
            return self._fresh()
        run = str(read_json(file)["run"])
        self._client.update_run(run, status="RUNNING")
        return run

    def _add(self, figures: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(1e3 * time.time())
        metrics = [Metric(name, value, now, step) for name, value in figures.items()]
        for start in range(0, len(metrics), AT_ONCE):
            self._client.log_batch(self._run, metrics=metrics[start : start + AT_ONCE])
