"""The pre-flight: the theory of collapse against closed forms and trained models, and what settings foretell."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import torch

from nelbo.data import load
from nelbo.doctor.finding import Severity
from nelbo.doctor.preflight import active_latents, preflight
from nelbo.models.activity import summarise_latents
from nelbo.settings import resolve
from nelbo.train.job import prepare, train

from .conftest import case_of, healthy_rows

UNIT = "gaussian:sigma=unit"


def correlated(rows: int = 600) -> np.ndarray:
    """Columns of variance 1 in two groups: the correlation matrix has eigenvalues near 2.6, 1.8 and below 1."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(rows, 2))
    noise = rng.normal(size=(rows, 5))
    return np.column_stack([z[:, [0]] + 0.5 * noise[:, :3], z[:, [1]] + 0.5 * noise[:, 3:]]).astype(np.float32)


def found(x: np.ndarray, **settings: Any) -> dict[str, Severity]:
    return {one.key: one.severity for one in preflight(case_of(x, **settings))}


@pytest.mark.parametrize("beta", [1.0, 2.0, 4.0])
def test_as_many_latents_stay_active_as_theory_says(beta: float) -> None:
    x = correlated()
    scaled = (x - x.mean(0)) / x.std(0)
    by_numpy = int((np.linalg.eigvalsh(np.cov(scaled.T, bias=True)) > beta).sum())
    given = {"network": "linear", "likelihood": UNIT, "latent": 4, "beta": beta, "split": "all", "validation": 0}
    length = {"steps": 900, "batch_size": 600, "lr": 0.02, "samples": 4, "keep": "last", "threads": 1}
    job = prepare(resolve({**given, **length}), load(x))
    case = case_of(x, **{name: value for name, value in given.items() if name != "validation"})
    assert active_latents(case) == by_numpy
    objective, _, _ = train(job)
    kl = summarise_latents(objective.model.eval(), job.batches("train").fixed()).kl  # type: ignore[arg-type]
    assert kl is not None
    assert int((kl > 0.02).sum()) == by_numpy


def test_noise_above_every_direction_is_a_warning_and_some_a_remark() -> None:
    x = correlated()
    assert found(x, likelihood=UNIT, beta=4.0)["variance-too-large"] is Severity.WARNING
    assert found(x, likelihood=UNIT, latent=4)["variance-too-large"] is Severity.REMARK
    assert "variance-too-large" not in found(x, likelihood=UNIT)
    assert "variance-too-large" not in found(x, likelihood="gaussian:sigma=shared", beta=4.0)


@pytest.mark.parametrize(
    ("settings", "key", "severity"),
    [
        ({"beta": 8.0}, "beta-high", Severity.WARNING),
        ({"beta": 7.9}, "beta-high", None),
        ({"warmup": "linear:1.0"}, "kl-not-annealed", Severity.WARNING),
        ({"warmup": "linear:0.5"}, "kl-not-annealed", None),
        ({"epochs": 2}, "too-few-steps", Severity.WARNING),
        ({"batch_size": 4096}, "batch-too-large", Severity.REMARK),
        ({"latent": 12}, "latent-too-large", Severity.REMARK),
        ({"latent": 8}, "latent-too-large", None),
    ],
)
def test_settings_foretell(settings: dict[str, Any], key: str, severity: Severity | None) -> None:
    assert found(healthy_rows().astype(np.float32), **settings).get(key) is severity


def test_a_rank_below_the_number_of_columns_is_seen() -> None:
    x = healthy_rows(columns=3)
    x = np.column_stack([x, x @ np.ones((3, 2))]).astype(np.float32)
    assert found(x, latent=4)["latent-too-large"] is Severity.REMARK
    assert "latent-too-large" not in found(x, latent=3)


def test_a_plain_training_raises_nothing() -> None:
    assert found(healthy_rows().astype(np.float32)) == {}


def test_it_takes_less_than_a_second_and_leaves_noise_alone() -> None:
    case = case_of(np.random.default_rng(0).normal(size=(20_000, 200)).astype(np.float32))
    before, started = torch.get_rng_state(), time.process_time()
    preflight(case)
    assert time.process_time() - started < 1.0
    assert torch.equal(torch.get_rng_state(), before)
