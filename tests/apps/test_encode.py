"""Latent codes against the posterior's formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nelbo.apps import encode
from nelbo.data import load
from nelbo.errors import ConfigError

from .conftest import Linear


def test_codes_are_the_posterior_mean_of_the_scaled_rows(linear: Linear) -> None:
    codes = encode(linear.fitted, linear.job.data, spread=True)
    weight, bias = (p.detach().double().numpy() for p in linear.model.posterior.network.parameters())
    shift, scale = (np.asarray(v) for v in (linear.job.spec.scaling.shift, linear.job.spec.scaling.scale))
    features = ((linear.job.data.x.double().numpy() - shift) / scale) @ weight.T + bias
    assert np.allclose(codes.mean, features[:, :2], rtol=1e-4, atol=1e-4)
    # The floor of the log-variance is at -14: far from here it changes nothing.
    assert np.allclose(codes.spread, np.exp(0.5 * features[:, 2:]), rtol=1e-3)


def test_draws_scatter_about_the_mean_by_the_spread(linear: Linear) -> None:
    codes = encode(linear.fitted, linear.job.data, spread=True, draws=200, seed=3)
    noise = (codes.draws - codes.mean[:, None]) / codes.spread[:, None]
    count = noise.size
    assert abs(noise.mean()) < 5 / np.sqrt(count)
    assert abs(noise.var() - 1) < 5 * np.sqrt(2 / count)
    again = encode(linear.fitted, linear.job.data, draws=200, seed=3)
    assert np.array_equal(again.draws, codes.draws)


def test_asking_for_draws_does_not_move_the_mean(linear: Linear) -> None:
    plain, drawn = (encode(linear.fitted, linear.job.data, draws=draws, seed=9) for draws in (0, 2))
    assert np.array_equal(plain.mean, drawn.mean)


def test_negative_draws_are_refused(linear: Linear) -> None:
    with pytest.raises(ConfigError, match="--draws -1"):
        encode(linear.fitted, linear.job.data, draws=-1)


def test_missing_labels_are_empty_in_a_table(linear: Linear) -> None:
    data = load((linear.job.data.x[:3].numpy(), np.array(["a", "", "b"])))
    codes = encode(linear.fitted, data)
    assert codes.columns()["label"].tolist() == ["a", "", "b"]
    assert codes.arrays()["label"].tolist() == [0, -1, 1]


def test_other_arrays_are_read_without_names(linear: Linear, tmp_path: object) -> None:
    path = f"{tmp_path}/new.npy"
    np.save(path, linear.job.data.x[:5].numpy())
    data = linear.fitted.read(path)
    assert torch.equal(data.x, linear.job.data.x[:5])
