"""A model reads data in their own units, and what it makes itself likewise."""

from __future__ import annotations

import pytest
import torch

from nelbo.networks.reading import Reading
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
def test_a_network_reads_what_the_scaling_of_the_data_says(data: str, settings: dict[str, str]) -> None:
    job = prepare(resolve(SMALL, settings, {"source": data, "objective": "wake-sleep"}), rows_of(data))
    batch = next(iter(job.batches("train").fixed()))
    scaling = job.spec.reading or job.spec.scaling
    shift, scale = scaling.shift_tensor(job.spec.event_shape), scaling.scale_tensor(job.spec.event_shape)
    x = batch.x.double() if job.spec.reading is None else batch.x.double().log1p()
    reading = build(job.objective_spec["model"]["reading"])
    torch.testing.assert_close(reading(batch.x).double(), (x - shift) / scale, rtol=1e-5, atol=1e-6)
    assert batch.x_in is None


def test_data_that_are_read_as_they_are_need_none() -> None:
    job = prepare(resolve(SMALL, {"source": "binary", "objective": "wake-sleep"}), rows_of("binary"))
    assert "reading" not in job.objective_spec["model"]


def test_one_number_is_exact_in_double_precision() -> None:
    x = torch.rand(5, 3, dtype=torch.float64) * 255
    assert torch.equal(Reading(scale=255.0).double()(x), x * (1 / 255.0))


def test_one_number_a_pixel_is_given_in_the_order_of_a_flattened_row() -> None:
    x, shift, scale = torch.rand(4, 1, 2, 3), torch.rand(6), torch.rand(6) + 0.5
    expected = (x.flatten(1) - shift) / scale
    torch.testing.assert_close(Reading(shift.tolist(), scale.tolist())(x).flatten(1), expected)
