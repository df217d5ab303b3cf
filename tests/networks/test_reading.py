"""The posterior reads what a model makes as it reads the data."""

from __future__ import annotations

import pytest
import torch

from nelbo.registry import build
from nelbo.settings import resolve
from nelbo.train.job import prepare
from zoo import SMALL, rows_of


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        ("levels", {}),
        ("bytes", {}),
        ("real", {}),
        ("unit", {"scaling": "unit"}),
        ("positive", {}),
        ("count", {"scaling": "log1p", "likelihood": "poisson"}),
        ("mixed", {"likelihood": "mixed"}),
    ],
)
def test_reading_is_that_of_the_batches(data: str, settings: dict[str, str]) -> None:
    job = prepare(resolve(SMALL, settings, {"source": data, "objective": "wake-sleep"}), rows_of(data))
    batch = next(iter(job.batches("train").fixed()))
    reading = build(job.objective_spec["reading"])
    assert torch.allclose(reading(batch.x.float()), batch.inputs, rtol=1e-5, atol=1e-6)


def test_data_that_are_read_as_they_are_need_none() -> None:
    job = prepare(resolve(SMALL, {"source": "binary", "objective": "wake-sleep"}), rows_of("binary"))
    assert "reading" not in job.objective_spec
