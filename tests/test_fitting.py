"""`nelbo.fit`: from rows in memory to a run that every command can go on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch

import nelbo
from cli.conftest import call, refuse, succeed
from nelbo.errors import CompositionError, ConfigError, DataError, RunError, StorageError

RNG = np.random.default_rng(0)
X = (RNG.normal(size=(60, 2)) @ RNG.normal(size=(2, 3))) * [1.0, 10.0, 100.0]
COUNTS = RNG.poisson(3, size=(60, 4)) * (RNG.random((60, 4)) < 0.4)
FRAME = {"height": X[:, 0], "weight": X[:, 1], "class": ["a", "b", "c"] * 20}
SMALL: dict[str, Any] = {"latent": 2, "hidden": (8,), "epochs": 2, "threads": 1}

SOURCES: dict[str, tuple[Any, dict[str, Any]]] = {
    "array": (X, {}),
    "pair": ((X, np.arange(60) % 3), {}),
    "tensor of images": (torch.from_numpy(RNG.integers(0, 256, (60, 8, 8), dtype=np.uint8)), {}),
    "pandas frame": (pd.DataFrame(FRAME), {"label": "class"}),
    "polars frame": (pl.DataFrame(FRAME), {"label": "class"}),
    "sparse matrix": (scipy.sparse.csr_matrix(COUNTS), {}),
}


@pytest.mark.parametrize("name", SOURCES)
def test_every_later_command_works_on_a_run_of_rows_in_memory(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    rows, settings = SOURCES[name]
    fitted = nelbo.fit(rows, run="run", **SMALL, **settings)
    assert fitted.folder == Path("run")
    assert "<h2" in Path("run/report.html").read_text()
    written = json.loads(Path("run/evaluation-test.json").read_text())
    assert written["baselines"]
    found = json.loads(succeed("evaluate", "run", "--samples", 200, "--json").out)
    assert found["log_likelihood"] == written["log_likelihood"]
    assert found["generalisation"] is not None
    succeed("report", "run")
    assert call("doctor", "run").status in {0, 3}
    succeed("encode", "run", "-o", "codes.npz", "--split", "all")
    with np.load("codes.npz") as codes:
        np.testing.assert_array_equal(codes["mean"], nelbo.encode(fitted, rows).mean)
        assert ("label" in codes.files) is (name in {"pair", "pandas frame", "polars frame"})
    succeed("reconstruct", "run")
    succeed("sample", "run")
    succeed("compare", "run", "run", "--samples", 20)
    succeed("fit-prior", "run", "--prior", "normal", "--epochs", 2, "-o", "prior")
    succeed("runs", ".")


def test_a_frame_a_file_and_an_array_of_the_same_rows_are_the_same_model(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(FRAME)
    frame.to_csv("rows.csv", index=False)
    models = [
        nelbo.fit(rows, run=name, report=False, label="class", **SMALL)
        for name, rows in (("frame", frame), ("file", "rows.csv"))
    ]
    first, second = (fitted.model.state_dict() for fitted in models)
    assert all(first[name].equal(second[name]) for name in first)
    assert [column.name for column in models[0].raw.columns or ()] == ["height", "weight"]


def test_what_was_in_memory_is_kept_and_checked(tmp_path: Path) -> None:
    fitted = nelbo.fit(X, run=tmp_path / "run", report=False, **SMALL)
    assert fitted.folder is not None
    file = fitted.folder / "rows.safetensors"
    succeed("encode", fitted.folder, "-o", tmp_path / "x.csv")
    file.write_bytes(file.read_bytes()[:-9])
    assert "damaged or truncated" in refuse("encode", fitted.folder)
    with pytest.raises(StorageError):
        nelbo.Run(fitted.folder).load() and nelbo.runs.reopen(nelbo.Run(fitted.folder))


def test_a_misspelt_setting_is_refused_with_the_nearest_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown setting 'lattent'; did you mean 'latent'"):
        nelbo.fit(X, run=tmp_path / "run", lattent=3)
    with pytest.raises(DataError, match="data cannot be read from a dict"):
        nelbo.fit({"a": 1}, run=tmp_path / "run")  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()


def test_what_says_again_what_the_rows_are_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="source='mnist' says again what the rows are"):
        nelbo.fit(X, run=tmp_path / "run", source="mnist")
    with pytest.raises(ConfigError, match="label='class' says again"):
        nelbo.fit(nelbo.load_data(X), run=tmp_path / "run", label="class")
    with pytest.raises(ConfigError, match="run=5 is no folder"):
        nelbo.fit(X, run=5)  # type: ignore[arg-type]
    for setting in ({"ema": 0.99}, {"prior": "mixture"}, {"warmup": "linear:0.2"}):
        with pytest.raises(CompositionError, match=f"the recipe ppca reads no --{next(iter(setting))}"):
            nelbo.fit(X, run=tmp_path / "run", recipe="ppca", latent=2, **setting)


def test_a_run_that_is_there_is_not_touched(tmp_path: Path) -> None:
    nelbo.fit(X, run=tmp_path / "run", report=False, **SMALL)
    before = (tmp_path / "run" / "model" / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="exists"):
        nelbo.fit(X, run=tmp_path / "run", report=False, **{**SMALL, "seed": 1})
    assert (tmp_path / "run" / "model" / "model.safetensors").read_bytes() == before


def test_one_model_is_fitted_by_a_solver_in_closed_form(tmp_path: Path) -> None:
    """The recipe `ppca`: no gradient steps, but a run, figures and a report like any other."""
    fitted = nelbo.fit(X, run=tmp_path / "run", recipe="ppca", latent=2, threads=1)
    assert fitted.folder is not None
    run = nelbo.Run(fitted.folder)
    assert run.state()["stopped"] == "solved"
    assert len(run.metrics()) == 1
    found = json.loads((fitted.folder / "evaluation-test.json").read_text())
    marginals = next(each for each in found["baselines"] if each["name"] == "independent marginals")
    assert found["log_likelihood"] > marginals["log_likelihood"]
    assert abs(found["log_likelihood"] - found["bound"]) < 1e-4  # the posterior is exact
    assert call("doctor", fitted.folder).status in {0, 3}
