"""New data: in the user's units, with the right moments, for every transform."""

from __future__ import annotations

import numpy as np
import pytest

from nelbo.apps import sample
from nelbo.errors import ConfigError
from nelbo.runs import Fitted

from .conftest import Linear, a_job

N = 40_000


def test_draws_have_the_closed_form_mean_and_covariance_in_data_units(linear: Linear) -> None:
    draws = sample(linear.fitted, N, seed=1, draw=True)
    sigma = np.sqrt(np.diag(linear.covariance))
    # Five standard errors of a mean and of a correlation.
    assert np.all(np.abs(draws.mean(0) - linear.mean) < 5 * sigma / np.sqrt(N))
    found = np.cov(draws.T) / np.outer(sigma, sigma)
    assert np.abs(found - linear.covariance / np.outer(sigma, sigma)).max() < 5 * np.sqrt(2 / N)


def test_means_lack_the_noise_of_the_likelihood(linear: Linear) -> None:
    means = sample(linear.fitted, N, seed=1)
    draws = sample(linear.fitted, N, seed=1, draw=True)
    noise = draws - means  # the same z for the same seed
    weight = np.linalg.matrix_rank(means - linear.mean.astype(np.float32), tol=1.0)
    assert weight <= 2  # two latents: the means lie in a plane
    assert np.abs(np.corrcoef(noise.T) - np.eye(3)).max() < 5 / np.sqrt(N)


def test_the_first_rows_of_chunks_are_not_repeated(linear: Linear) -> None:
    means = sample(linear.fitted, 1_500, seed=0)
    assert len(np.unique(means, axis=0)) == 1_500


def test_no_samples_are_refused(linear: Linear) -> None:
    with pytest.raises(ConfigError, match="-n 0"):
        sample(linear.fitted, 0)


def _bytes(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, size=(60, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize(
    ("settings", "legal"),
    [
        ({}, range(256)),
        ({"binarize": "dynamic"}, (0, 255)),
        ({"transform": "dequantize"}, range(256)),
        ({"transform": "logit"}, range(256)),
    ],
)
def test_draws_of_bytes_are_bytes_whatever_the_transform(settings: dict[str, str], legal: object) -> None:
    job = a_job(_bytes(np.random.default_rng(0)), **settings)
    draws = sample(Fitted.of(job, job.build().model), 30, draw=True)
    assert draws.dtype == np.uint8
    assert draws.shape == (30, 1, 8, 8)
    assert np.isin(draws, list(legal)).all()


def test_draws_of_positive_data_are_positive() -> None:
    x = np.exp(np.random.default_rng(0).normal(size=(60, 3)))
    job = a_job(x)
    assert job.transform.name == "log"
    assert sample(Fitted.of(job, job.build().model), 200, draw=True).min() > 0


def test_means_of_binarised_bytes_are_grey() -> None:
    job = a_job(_bytes(np.random.default_rng(0)), binarize="dynamic")
    means = sample(Fitted.of(job, job.build().model), 20)
    assert means.dtype == np.float32
    assert 0 < means.min() < means.max() < 255
