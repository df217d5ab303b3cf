"""Disentanglement of linear encoders whose latents are known to be factors, or not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from nelbo.data import Data, load
from nelbo.errors import ConfigError, DataError
from nelbo.evaluate.factor_scores import lead, mutual_information
from nelbo.evaluate.measure import measure_split
from nelbo.evaluate.measures.disentanglement import _half, _Known
from nelbo.models.latent import LatentVariableModel
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare
from zoo import SMALL

NAME = "disentanglement:repeats=2"
TIMES, ROWS = 45, 2_000
GRID = np.tile(np.indices((3, 4)).reshape(2, -1).T, (TIMES, 1))  # every combination in every block of 12 rows
X = np.column_stack([GRID, np.random.default_rng(0).normal(size=(len(GRID), 2))]).astype(np.float32)


def npz(folder: Path, factors: np.ndarray = GRID, x: np.ndarray = X) -> Path:
    np.savez(folder / "grid.npz", X=x, factors=factors, factor_names=["shape", "size"][: factors.shape[1]])
    return folder / "grid.npz"


def job_of(data: Data, **settings: Any) -> Job:
    given = {**SMALL, "network": "linear", "latent": 3, "scaling": "none", "test": 0.5, "validation": 0.1, **settings}
    return prepare(resolve(given), data)


def reading(job: Job, columns: Sequence[Sequence[float]]) -> LatentVariableModel:
    """A model whose posterior means are these sums of the columns of the data."""
    model = cast("LatentVariableModel", job.build().model).eval()
    weight = torch.zeros(job.settings.latent, 4)
    for latent, column in enumerate(columns):
        weight[latent] = torch.tensor(column)
    with torch.no_grad():
        layer = model.get_submodule("posterior.network.layer")
        layer.weight.zero_()
        layer.bias.zero_()
        layer.weight[: len(weight)] = weight  # its other outputs are the variances
    return model


FACTORS = [[2.0, 0.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]]
IGNORANT = [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def scores(job: Job, model: LatentVariableModel, name: str = NAME, **settings: Any) -> dict[str, Any]:
    (found,) = measure_split(job, model, [name], **settings).values()
    return dict(found.figures)


def test_latents_that_are_the_factors_score_1_and_their_chance_next_to_nothing(tmp_path: Path) -> None:
    job = job_of(load(npz(tmp_path)))
    found = scores(job, reading(job, FACTORS))
    assert found["scores"] == pytest.approx(dict.fromkeys(found["scores"], 1.0), abs=0.01)  # of rows drawn at random
    assert found["standard_error"] == pytest.approx(dict.fromkeys(found["scores"], 0.0), abs=0.01)
    assert max(value for name, value in found["chance"].items() if name != "FactorVAE score") < 0.2
    assert found["chance"]["FactorVAE score"] == pytest.approx(0.5, abs=0.2)
    assert (found["n"], found["fitted_on"]) == (len(job.split.test), len(job.split.train))


def test_latents_that_know_nothing_score_as_chance_does(tmp_path: Path) -> None:
    job = job_of(load(npz(tmp_path)))
    found = scores(job, reading(job, IGNORANT))
    for name, value in found["scores"].items():
        assert value == pytest.approx(found["chance"][name], abs=0.15), name
    assert all(error > 0 for name, error in found["standard_error"].items() if name != "DCI informativeness")


def test_collapsed_latents_change_no_score_and_are_not_counted(tmp_path: Path) -> None:
    data = load(npz(tmp_path))
    some, more = job_of(data), job_of(data, latent=5)
    mixed = [[1.0, 0.5, 0.3, 0.0], [0.2, 1.0, 0.0, 0.4]]
    still = [[0.0, 0.0, 0.09, 0.0], [0.0, 0.0, 0.0, 0.09]]  # a variance below 0.01
    one, two = scores(some, reading(some, mixed)), scores(more, reading(more, [*still, *mixed]))
    assert one["scores"] == two["scores"]
    assert one["latents"] == [0, 1]
    assert two["latents"] == [2, 3]


def test_a_model_with_no_latent_left_is_refused_with_the_remedy(tmp_path: Path) -> None:
    job = job_of(load(npz(tmp_path)))
    with pytest.raises(DataError, match=r"all latents have collapsed to the prior.*--beta"):
        scores(job, reading(job, []))


def test_standard_errors_from_halves_are_the_spread_of_scores_over_fresh_rows() -> None:
    random = np.random.default_rng(0)
    values, errors = [], []
    for _ in range(80):
        v = GRID[random.integers(len(GRID), size=ROWS)]
        z = random.normal(size=(ROWS, 3)) + np.column_stack([v * [1.0, 0.7], 0.3 * v[:, 0]])
        values.append(lead(mutual_information(z, v)).mean())
        halves = [_half(_Known(z, v), random) for _ in range(5)]
        errors.append(np.var([lead(mutual_information(half.z, half.v)).mean() for half in halves], ddof=1))
    assert math.sqrt(np.mean(errors)) == pytest.approx(np.std(values, ddof=1), rel=0.3)


def test_sap_reads_no_order_into_words_or_into_codes_said_to_have_none(tmp_path: Path) -> None:
    data = load(npz(tmp_path))
    job = job_of(data)
    model = reading(job, FACTORS)
    sap = scores(job, model, f"{NAME},unordered=shape")["scores"]["SAP"]
    assert sap == pytest.approx((1 - 1 / 3 + 1) / 2, abs=0.06)  # a guess on some rows is a little better than 1/3
    one = scores(job, model, f"{NAME},unordered=shape+size")["scores"]["SAP"]
    assert one == pytest.approx((1 - 1 / 3 + 1 - 1 / 4) / 2, abs=0.08)
    with pytest.raises(ConfigError, match="unknown factor in unordered 'form'"):
        scores(job, model, f"{NAME},unordered=form")


def test_rows_that_a_model_was_trained_on_and_other_data_are_cut_in_halves(tmp_path: Path) -> None:
    data = load(npz(tmp_path))
    job = job_of(data)
    model = reading(job, FACTORS)
    for found, rows in (
        (scores(job, model, split="train"), len(job.split.train)),
        (scores(job, model, data=data), len(data)),
    ):
        assert found["n"] + found["fitted_on"] == rows
        assert abs(found["n"] - found["fitted_on"]) <= 1
        assert found["scores"]["SAP"] > 0.95


def test_rows_whose_factors_are_not_known_are_left_out(tmp_path: Path) -> None:
    data = load(npz(tmp_path))
    assert data.factors is not None
    known = data.factors.clone()
    known[::5, 0] = -1
    job = job_of(replace(data, factors=known))
    found = scores(job, reading(job, FACTORS))
    assert found["n"] == int((known[job.split.test] >= 0).all(1).sum())
    assert found["fitted_on"] == int((known[job.split.train] >= 0).all(1).sum())
    assert found["scores"]["mutual information gap"] > 0.95


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        (GRID[:, :1], "'shape' is the only one; name another"),
        (GRID * [1, 0], "factor 'size' does not vary in the 270 rows measured"),
        (np.column_stack([GRID[:, 0], X[:, 2]]), "factor 'size' has 270 values in the 270 rows measured, and 10 rows"),
    ],
)
def test_factors_that_cannot_be_scored_are_refused(tmp_path: Path, factors: np.ndarray, words: str) -> None:
    job = job_of(load(npz(tmp_path, factors)))
    with pytest.raises(DataError, match=words):
        scores(job, reading(job, FACTORS))


def test_at_most_so_many_rows_are_used_and_one_repeat_is_refused(tmp_path: Path) -> None:
    job = job_of(load(npz(tmp_path)))
    found = scores(job, reading(job, FACTORS), f"{NAME},rows=150")
    assert (found["n"], found["fitted_on"]) == (150, 150)
    with pytest.raises(ConfigError, match="1 row and 2 repeats or more"):
        scores(job, reading(job, FACTORS), "disentanglement:repeats=1")
