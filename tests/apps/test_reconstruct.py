"""Reconstructions against the formula, worked out by NumPy from the weights."""

from __future__ import annotations

import numpy as np
import torch

from nelbo.apps import Reconstructions, reconstruct
from nelbo.data.spec import DataSpec, Kind
from nelbo.runs import Fitted

from .conftest import Linear, a_job


def test_a_linear_model_reconstructs_by_two_matrix_products(linear: Linear) -> None:
    result = reconstruct(linear.fitted, linear.job.data)
    parts = linear.model
    inner, b = (p.detach().double().numpy() for p in parts.posterior.network.parameters())
    outer, c = (p.detach().double().numpy() for p in parts.likelihood.network.parameters())
    shift, scale = (np.asarray(v) for v in (linear.job.spec.scaling.shift, linear.job.spec.scaling.scale))
    x = linear.job.data.x.double().numpy()
    z = ((x - shift) / scale) @ inner[:2].T + b[:2]
    assert np.allclose(result.reconstruction, shift + scale * (z @ outer.T + c), rtol=1e-4, atol=1e-3)
    assert np.array_equal(result.original, linear.job.data.x.numpy())


def test_rows_are_those_asked_for(linear: Linear) -> None:
    every = reconstruct(linear.fitted, linear.job.data)
    some = reconstruct(linear.fitted, linear.job.data, torch.tensor([7, 3]))
    assert some.row.tolist() == [7, 3]
    assert np.allclose(some.reconstruction, every.reconstruction[[7, 3]], rtol=1e-5)


def test_originals_of_dequantised_bytes_are_the_bytes() -> None:
    x = np.random.default_rng(0).integers(0, 256, size=(40, 8, 8), dtype=np.uint8)
    job = a_job(x, transform="dequantize")
    result = reconstruct(Fitted.of(job, job.build().model), job.data)
    assert np.array_equal(result.original[:, 0], x)
    assert result.reconstruction.min() >= 0
    assert result.reconstruction.max() <= 255


def test_perfect_reconstructions_explain_all_and_the_mean_explains_nothing() -> None:
    spec = DataSpec(name="t", event_shape=(2,), kind=Kind.REAL, layout="table")
    x = np.array([[1.0, 10.0], [3.0, 30.0]], np.float32)

    def made(values: np.ndarray) -> Reconstructions:
        return Reconstructions(x, values, np.arange(2), spec, 0.0, 1.0)

    assert made(x).explained_variance == 1.0
    assert made(np.broadcast_to(x.mean(0), x.shape)).explained_variance == 0.0
    assert made(x + np.array([1.0, 2.0])).squared_error.tolist() == [1.0, 4.0]


def test_variance_of_what_does_not_vary_is_not_explained() -> None:
    spec = DataSpec(name="t", event_shape=(1,), kind=Kind.REAL, layout="table")
    one = np.ones((3, 1), np.float32)
    assert Reconstructions(one, one, np.arange(3), spec, 0.0, 1.0).explained_variance is None
