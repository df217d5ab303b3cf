"""Small tables, healthy and spoilt, and one fitted run that every test of the doctor shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from nelbo.data import load
from nelbo.doctor.case import Case
from nelbo.doctor.commands import plugin_files
from nelbo.doctor.evidence import Evidence
from nelbo.doctor.patient import Patient
from nelbo.models.latent import LatentVariableModel
from nelbo.runs import Run, reopen, train_run
from nelbo.settings import resolve
from nelbo.train.job import prepare

Array = npt.NDArray[np.float64]
ROWS, COLUMNS = 400, 8
SMALL: dict[str, Any] = {"hidden": (24,), "latent": 3, "epochs": 40, "batch_size": 32, "lr": 3e-3, "threads": 1}


def healthy_rows(rows: int = ROWS, columns: int = COLUMNS, seed: int = 0) -> Array:
    """A bent two-dimensional surface in more columns, with noise."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(rows, 2))
    return 2 * np.tanh(z @ rng.normal(size=(2, columns))) + 0.4 * rng.normal(size=(rows, columns))


def written(path: Path, x: Array) -> str:
    """A .csv file of rows."""
    names = ",".join(f"c{place}" for place in range(x.shape[1]))
    np.savetxt(path, x, delimiter=",", header=names, comments="", fmt="%.6g")
    return str(path)


def case_of(x: Array, **settings: Any) -> Case:
    """The job of rows in memory."""
    known = {"source": "data.csv", "hidden": (16,), "latent": 2, "epochs": 50, "batch_size": 16, "threads": 1}
    return Case(prepare(resolve({**known, **settings}), load(x, kind=settings.get("kind"))))


def patient_of(run: Run, model: LatentVariableModel | None = None) -> Patient:
    """A run opened, perhaps with another model in its place."""
    config = run.config()
    evidence = Evidence.of(config, run.metrics(), run.evaluation(), run.state(), str(run.folder))
    fitted = run.load().model if model is None else model
    assert isinstance(fitted, LatentVariableModel)
    return Patient(Case(reopen(run), plugin_files(config)), evidence, fitted.eval())


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A healthy run; not to be changed."""
    home = tmp_path_factory.mktemp("doctor")
    return train_run(resolve({**SMALL, "source": written(home / "rows.csv", healthy_rows())}), home / "run")


@pytest.fixture
def patient(run: Run) -> Patient:
    """The healthy run, opened anew: its model may be spoilt."""
    return patient_of(run)


@pytest.fixture
def trained(tmp_path: Path) -> Callable[..., Run]:
    """Trains a small run with other settings."""

    def train(x: Array | None = None, **settings: Any) -> Run:
        source = written(tmp_path / "rows.csv", healthy_rows() if x is None else x)
        return train_run(resolve({**SMALL, "source": source, **settings}), tmp_path / "run")

    return train
