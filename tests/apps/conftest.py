"""A linear model whose distribution of x is known in closed form, and the job it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from nelbo.core import Model
from nelbo.data import load
from nelbo.runs import Fitted
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare

ROWS = 400


@dataclass(frozen=True)
class Linear:
    """x = shift + scale (W z + b + s e), z and e standard normal, in the units of the data."""

    job: Job
    model: Model
    mean: np.ndarray  # [D]
    covariance: np.ndarray  # [D, D]

    @property
    def fitted(self) -> Fitted:
        return Fitted.of(self.job, self.model)


def a_job(x: np.ndarray, **settings: object) -> Job:
    """The job of a small linear VAE on rows in memory."""
    known = {"recipe": "vae", "network": "linear", "latent": 2, "epochs": 1, "threads": 1}
    return prepare(resolve({**known, **settings}), load(x))


@pytest.fixture(scope="module")
def linear() -> Linear:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3)) * [1.0, 10.0, 100.0] + [5.0, -50.0, 0.0]
    job = a_job(x, likelihood="gaussian:sigma=shared")
    model = job.build().model.eval()
    weight, bias = (p.detach().double().numpy() for p in model.likelihood.network.parameters())
    variance = model.likelihood.log_variance(model.likelihood.raw_log_variance()).exp().item()
    shift, scale = (np.asarray(v) for v in (job.spec.scaling.shift, job.spec.scaling.scale))
    covariance = np.diag(scale) @ (weight @ weight.T + variance * np.eye(3)) @ np.diag(scale)
    return Linear(job, model, shift + scale * bias, covariance)


@pytest.fixture(autouse=True)
def _global_noise_is_untouched() -> object:
    """Whatever an application draws, torch's and NumPy's global states stay as they were."""
    before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    yield
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpy_before)
