"""Probabilistic PCA against scikit-learn, SciPy, published values and its own definition."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor

from nelbo.errors import CompositionError, ConfigError, DataError
from nelbo.solvers import PPCA, fit_ppca


def correlated(n: int, d: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    return torch.randn(n, d, generator=generator, dtype=torch.float64) @ mixing + 3.0


def covariance(ppca: PPCA) -> Tensor:
    return ppca.weight @ ppca.weight.T + ppca.noise_variance * torch.eye(len(ppca.mean), dtype=torch.float64)


@pytest.mark.parametrize("q", [0, 1, 3, 6])
def test_log_likelihood_is_that_of_the_gaussian_with_the_full_covariance(q: int) -> None:
    x = correlated(50, 7)
    ppca = fit_ppca(x, q)
    expected = multivariate_normal(ppca.mean.numpy(), covariance(ppca).numpy()).logpdf(x.numpy())
    np.testing.assert_allclose(ppca.log_likelihood(x).numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("q", [1, 4])
def test_agrees_with_scikit_learn_once_its_divisor_is_accounted_for(q: int) -> None:
    # scikit-learn divides the covariance by N - 1: give it rows whose spread makes up for that.
    x = correlated(40, 6).numpy()
    centre = x.mean(0)
    peer = PCA(q, svd_solver="full").fit(centre + (x - centre) * np.sqrt((len(x) - 1) / len(x)))
    ppca = fit_ppca(torch.from_numpy(x), q)
    assert ppca.noise_variance == pytest.approx(peer.noise_variance_, rel=1e-10)
    np.testing.assert_allclose(ppca.log_likelihood(torch.from_numpy(x)).numpy(), peer.score_samples(x), rtol=1e-9)


def test_one_latent_fewer_than_dimensions_is_the_gaussian_of_full_covariance() -> None:
    x = correlated(30, 4)
    expected = np.cov(x.numpy().T, bias=True)
    np.testing.assert_allclose(covariance(fit_ppca(x, 3)).numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize("n", [5, 11, 12, 13])
def test_fewer_rows_than_dimensions_give_what_the_covariance_gives(n: int) -> None:
    x = correlated(n, 12)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.numpy().T, bias=True))[::-1]
    ppca = fit_ppca(x, 2)
    assert ppca.noise_variance == pytest.approx(eigenvalues[2:].mean(), rel=1e-9)
    np.testing.assert_allclose(np.linalg.eigvalsh(covariance(ppca).numpy())[-2:][::-1], eigenvalues[:2], rtol=1e-9)


def test_no_nearby_parameters_are_more_likely() -> None:
    x = correlated(60, 5)
    best = fit_ppca(x, 2)
    top = best.log_likelihood(x).mean()
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        step = 1e-2 * torch.randn(best.weight.shape, generator=generator, dtype=torch.float64)
        factor = float(torch.randn(1, generator=generator)) * 1e-2
        near = PPCA(best.mean, best.weight + step, best.noise_variance * (1.0 + factor))
        assert near.log_likelihood(x).mean() < top


def test_posterior_is_the_conditional_of_the_joint_gaussian() -> None:
    x = correlated(20, 6)
    ppca = fit_ppca(x, 2)
    mean, cov = ppca.posterior(x)
    gain = ppca.weight.T @ torch.linalg.inv(covariance(ppca))
    torch.testing.assert_close(mean, (x - ppca.mean) @ gain.T)
    torch.testing.assert_close(cov, torch.eye(2, dtype=torch.float64) - gain @ ppca.weight)


def test_posterior_covariance_is_diagonal_so_the_bound_of_a_linear_vae_is_the_evidence() -> None:
    x = correlated(20, 6)
    ppca = fit_ppca(x, 3)
    mean, cov = ppca.posterior(x)
    assert float((cov - cov.diagonal().diag()).abs().max()) < 1e-12
    # ELBO = E log p(x given z) - KL(q, p), both in closed form for linear Gaussian parts.
    variance = cov.diagonal()
    residual = (x - mean @ ppca.weight.T - ppca.mean).square().sum(1)
    spread = (ppca.weight.square() * variance).sum()
    s2 = torch.tensor(ppca.noise_variance, dtype=torch.float64)
    expected_log_px = -0.5 * (6 * torch.log(2 * torch.pi * s2) + (residual + spread) / s2)
    kl = 0.5 * (mean.square() + variance - 1.0 - variance.log()).sum(1)
    torch.testing.assert_close(expected_log_px - kl, ppca.log_likelihood(x), rtol=0, atol=1e-8)


def test_samples_have_the_mean_and_covariance_of_the_model() -> None:
    ppca = fit_ppca(correlated(50, 4), 2)
    x = ppca.sample(200_000, torch.Generator().manual_seed(0))
    scale = covariance(ppca).diagonal().sqrt()
    np.testing.assert_allclose((x.mean(0) - ppca.mean) / scale, 0.0, atol=0.01)
    np.testing.assert_allclose((torch.cov(x.T) - covariance(ppca)) / torch.outer(scale, scale), 0.0, atol=0.02)


def test_reconstruction_keeps_the_shape_and_shrinks_towards_the_projection() -> None:
    x = correlated(30, 6).reshape(30, 1, 2, 3)
    ppca = fit_ppca(x, 2)
    assert ppca.reconstruct(x).shape == x.shape
    # As sigma^2 goes to 0 the shrinkage vanishes, and the projection onto the principal plane is left.
    flat = x.flatten(1)
    projection = PCA(2).fit(flat.numpy())
    without_noise = PPCA(ppca.mean, ppca.weight, 1e-12)
    expected = projection.inverse_transform(projection.transform(flat.numpy()))
    np.testing.assert_allclose(without_noise.reconstruct(flat).numpy(), expected, atol=1e-8)


def test_integers_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randint(0, 256, (40, 9), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    whole = fit_ppca(x.double(), 3)
    monkeypatch.setattr("nelbo.solvers.rows.CHUNK_CELLS", 63)
    parts = fit_ppca(x, 3)
    torch.testing.assert_close(parts.log_likelihood(x), whole.log_likelihood(x.double()))


def test_a_tiny_noise_variance_loses_no_digits() -> None:
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(100, 2, generator=generator, dtype=torch.float64) @ torch.eye(2, 5, dtype=torch.float64) * 1e3
    x = plane + 1e-2 * torch.randn(100, 5, generator=generator, dtype=torch.float64)
    ppca = fit_ppca(x, 2)
    # Averaged over the rows fitted, the quadratic form of the maximum-likelihood Gaussian is exactly D.
    log_det = torch.logdet(covariance(ppca))
    expected = -0.5 * (5 * np.log(2 * np.pi) + float(log_det) + 5)
    assert float(ppca.log_likelihood(x).mean()) == pytest.approx(expected, rel=1e-6)


def test_a_constant_column_is_served() -> None:
    x = correlated(30, 4)
    x[:, 1] = 7.0
    ppca = fit_ppca(x, 1)
    assert float(ppca.weight[1].abs().max()) < 1e-12
    assert torch.isfinite(ppca.log_likelihood(x)).all()


@pytest.mark.parametrize("x", [torch.ones(1, 3), torch.ones(5, 3), correlated(3, 8)], ids=["one", "constant", "few"])
def test_no_noise_left_is_refused_unless_there_is_a_floor(x: Tensor) -> None:
    with pytest.raises(DataError, match="variance_floor"):
        fit_ppca(x, 2)
    ppca = fit_ppca(x, 2, variance_floor=0.01)
    assert ppca.noise_variance == 0.01
    assert torch.isfinite(ppca.log_likelihood(x)).all()


def test_a_floor_above_an_eigenvalue_turns_that_latent_off() -> None:
    ppca = fit_ppca(correlated(50, 5), 3, variance_floor=1e6)
    assert float(ppca.weight.abs().max()) == 0.0


@pytest.mark.parametrize("q", [3, 4])
def test_as_many_latents_as_dimensions_are_refused(q: int) -> None:
    with pytest.raises(CompositionError, match="at most 2 latents"):
        fit_ppca(correlated(10, 3), q)


def test_bad_settings_and_data_are_refused() -> None:
    with pytest.raises(ConfigError, match="latents"):
        fit_ppca(correlated(10, 3), -1)
    with pytest.raises(ConfigError, match="floor"):
        fit_ppca(correlated(10, 3), 1, variance_floor=-1.0)
    with pytest.raises(DataError, match="needs rows"):
        fit_ppca(torch.ones(0, 3), 1)
    with pytest.raises(DataError, match="NaN"):
        fit_ppca(torch.tensor([[0.0, 1.0], [float("nan"), 1.0]]), 1)


@pytest.mark.parametrize(("q", "published"), [(2, 0.006), (5, 8.908), (10, 17.452)])
def test_published_likelihood_of_digits(q: int, published: float) -> None:
    x = torch.from_numpy(load_digits().data) / 16.0
    assert float(fit_ppca(x, q).log_likelihood(x).mean()) == pytest.approx(published, abs=5e-4)


@pytest.mark.data
@pytest.mark.parametrize(("q", "published"), [(2, 555.828), (5, 667.687), (10, 754.551), (20, 861.569)])
def test_published_likelihood_of_frey_faces(q: int, published: float) -> None:
    faces = np.load(Path(os.environ["NELBO_DATA"]) / "frey-faces" / "freyfaces.npy")
    x = torch.from_numpy(faces).double() / 255.0
    assert float(fit_ppca(x, q).log_likelihood(x).mean()) == pytest.approx(published, abs=5e-4)


@pytest.mark.data
def test_published_likelihood_of_fashion_mnist() -> None:
    folder = Path(os.environ["NELBO_DATA"]) / "fashion-mnist"
    content = gzip.decompress(next(folder.glob("train-images*")).read_bytes())
    x = torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=16).reshape(-1, 784).float() / 255.0
    assert float(fit_ppca(x, 10).log_likelihood(x).mean()) == pytest.approx(314.806, abs=1e-2)
