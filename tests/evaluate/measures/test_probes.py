"""Probes against codes whose classes are known to be apart, or not."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import Tensor

from nelbo.data import Data
from nelbo.errors import DataError
from nelbo.evaluate.measure import Subject, measure_split
from nelbo.evaluate.measures.probes import Probes
from nelbo.models.latent import LatentVariableModel
from nelbo.runs import Fitted, TrainingRows
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare
from zoo import SMALL, rows_of

CLASSES = 3


def subject(label: Tensor | None, x: Tensor | None = None) -> tuple[Job, LatentVariableModel]:
    """A linear encoder that reads the first two columns, over rows with these labels."""
    rows: Data = rows_of("real")
    data = replace(rows, label=label, x=rows.x if x is None else x)
    job = prepare(resolve({**SMALL, "network": "linear", "latent": 2, "scaling": "none"}), data)
    model = cast("LatentVariableModel", job.build().model).eval()
    with torch.no_grad():
        layer = model.get_submodule("posterior.network.layer")
        layer.weight.zero_()
        layer.weight[0, 0] = layer.weight[1, 1] = 1.0
    return job, model


def separated() -> tuple[Tensor, Tensor]:
    """Columns whose first two say the class at a distance of many standard deviations."""
    x = rows_of("real").x.clone()
    label = torch.arange(len(x)) % CLASSES
    x[:, 0], x[:, 1] = 50.0 * label.float() + x[:, 0], x[:, 1]
    return x, label


def test_classes_far_apart_in_the_latents_are_told_without_error() -> None:
    x, label = separated()
    found = measure_split(*subject(label, x), ["probes:neighbours=1"])["probes:neighbours=1"].figures
    assert found["accuracy"]["1 nearest neighbours"] == found["accuracy"]["linear classifier"] == 1.0
    assert found["accuracy"]["most frequent class"] < 0.8


def probed(job: Job, model: LatentVariableModel, rows: torch.Tensor) -> Subject:
    return Subject(Fitted.of(job, model), job.data, rows, "some", TrainingRows(job.data, job.split.train))


def test_labels_that_the_latents_know_nothing_of_are_guessed() -> None:
    x, _ = separated()
    label = torch.randint(2, (len(x),), generator=torch.Generator().manual_seed(0))
    job, model = subject(label, x)
    rows = torch.arange(len(x))
    found = Probes(neighbours=25)(probed(job, model, rows)).figures
    assert found["n"] == len(x)
    assert abs(found["accuracy"]["linear classifier"] - 0.5) < 0.3


def test_rows_without_a_label_are_left_out_and_none_at_all_is_refused() -> None:
    x, label = separated()
    known = label.clone()
    known[::2] = -1
    job, model = subject(known, x)
    assert Probes()(probed(job, model, torch.arange(10))).figures["n"] == 5
    with pytest.raises(DataError, match="read labels, but these rows have none"):
        measure_split(*subject(None), ["probes"])
