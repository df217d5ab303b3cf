"""Baselines against scikit-learn's naive Bayes, SciPy's distributions and the compressors themselves."""

from __future__ import annotations

import gzip
import io
import itertools
import math
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.naive_bayes import BernoulliNB, CategoricalNB
from torch import Tensor

from nelbo.data.spec import Column, DataSpec, Kind
from nelbo.errors import DataError
from nelbo.solvers.baselines import Baseline, baselines

LN2 = math.log(2.0)


def table(d: int, kind: Kind, levels: int | None = None, transform: str = "none") -> DataSpec:
    return DataSpec(name="table", event_shape=(d,), kind=kind, levels=levels, layout="table", transform=transform)


def image(shape: tuple[int, ...], kind: Kind, levels: int | None = None, transform: str = "none") -> DataSpec:
    return DataSpec(name="image", event_shape=shape, kind=kind, levels=levels, layout="image", transform=transform)


def integers(n: int, d: int, levels: int, seed: int = 0) -> Tensor:
    """Unevenly spread levels, as uint8."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(n, d, generator=generator).square() * levels).to(torch.uint8)


def reals(n: int, d: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=torch.Generator().manual_seed(9))
    return torch.randn(n, d, generator=generator) @ mixing + 2.0


def named(found: list[Baseline]) -> dict[str, Baseline]:
    return {each.name.split(",")[0]: each for each in found}


def rows(figure: Baseline) -> np.ndarray:
    assert figure.per_row is not None
    return figure.per_row.numpy()


def test_binary_marginals_are_bernoulli_naive_bayes_of_one_class() -> None:
    train, test = integers(60, 5, 2), integers(20, 5, 2, seed=1)
    peer = BernoulliNB(alpha=1.0, fit_prior=False).fit(train.numpy(), np.zeros(60))
    (figure,) = baselines(train, test, table(5, Kind.BINARY), 2)
    np.testing.assert_allclose(rows(figure), peer.predict_joint_log_proba(test.numpy())[:, 0], rtol=1e-10)
    assert figure.reference_measure == "probability mass on {0, 1} per column"


@pytest.mark.parametrize("kind", [Kind.LEVELS, Kind.CATEGORICAL, Kind.ORDINAL])
def test_histograms_are_categorical_naive_bayes_of_one_class(kind: Kind) -> None:
    train, test = integers(60, 4, 7), integers(20, 4, 7, seed=1)
    peer = CategoricalNB(alpha=1.0, fit_prior=False, min_categories=7).fit(train.numpy(), np.zeros(60))
    figure = named(baselines(train, test, table(4, kind, levels=7), 2))["independent marginals"]
    np.testing.assert_allclose(rows(figure), peer.predict_joint_log_proba(test.numpy())[:, 0], rtol=1e-10)


def test_codes_count_the_levels_of_each_column() -> None:
    columns = tuple(
        Column(name=f"c{high}", kind=Kind.CATEGORICAL, low=0, high=high, distinct=high + 1) for high in (1, 4)
    )
    spec = table(2, Kind.CATEGORICAL).model_copy(update={"columns": columns})
    train = torch.stack([integers(30, 1, 2)[:, 0], integers(30, 1, 5)[:, 0]], 1)
    cells = torch.tensor(list(itertools.product(range(2), range(5))))
    (figure,) = baselines(train, cells, spec, 2)
    assert np.exp(rows(figure)).sum() == pytest.approx(1.0)


def test_a_mixed_table_is_scored_column_by_column() -> None:
    rng = np.random.default_rng(0)
    kinds = [Kind.LEVELS, Kind.REAL, Kind.COUNT, Kind.POSITIVE, Kind.BINARY, Kind.UNIT]
    x = np.column_stack([
        rng.integers(0, 4, 90), rng.normal(5, 3, 90), rng.negative_binomial(2, 0.2, 90), rng.lognormal(1, 0.5, 90),
        rng.integers(0, 2, 90), rng.random(90),
    ])  # fmt: skip
    columns = tuple(
        Column(name=str(k), kind=k, low=c.min(), high=c.max(), distinct=2) for k, c in zip(kinds, x.T, strict=True)
    )
    spec = table(6, Kind.MIXED).model_copy(update={"columns": columns})
    train, test = x[:60], x[60:]
    (figure,) = baselines(torch.from_numpy(train), torch.from_numpy(test), spec, 2)  # and no pPCA
    share = (np.bincount(train[:, 0].astype(int), minlength=4) + 1) / 64
    odds = (np.bincount(train[:, 4].astype(int), minlength=2) + 1) / 62
    mean, variance = train[:, 2].mean(), train[:, 2].var()
    logs = np.log(train[:, 3])
    expected = (
        np.log(share[test[:, 0].astype(int)])
        + stats.norm(train[:, 1].mean(), train[:, 1].std()).logpdf(test[:, 1])
        + stats.nbinom(mean**2 / (variance - mean), mean / variance).logpmf(test[:, 2])
        + stats.lognorm(logs.std(), scale=np.exp(logs.mean())).logpdf(test[:, 3])
        + np.log(odds[test[:, 4].astype(int)])
        + stats.norm(train[:, 5].mean(), train[:, 5].std()).logpdf(test[:, 5])
    )
    np.testing.assert_allclose(rows(figure), expected, rtol=1e-6)
    assert figure.reference_measure == spec.reference_measure(density=True)
    assert "3 discrete columns" in figure.reference_measure
    assert "3 continuous columns" in figure.reference_measure


def test_gaussian_marginals_are_scipys() -> None:
    train, test = reals(50, 3), reals(20, 3, seed=1)
    figure = named(baselines(train, test, table(3, Kind.REAL), 1))["independent marginals"]
    t = train.double().numpy()
    expected = stats.norm(t.mean(0), t.std(0)).logpdf(test.double().numpy()).sum(1)
    np.testing.assert_allclose(rows(figure), expected, rtol=1e-9)
    assert figure.log_likelihood == pytest.approx(expected.mean())
    assert figure.standard_error == pytest.approx(stats.sem(expected))
    assert figure.bits_per_dim == pytest.approx(-expected.mean() / (3 * LN2))
    assert figure.reference_measure == "Lebesgue density in the data's own units"


def test_count_marginals_are_scipys_negative_binomial_or_poisson() -> None:
    rng = np.random.default_rng(0)
    spread, even = rng.negative_binomial(2, 0.2, 80), rng.binomial(20, 0.5, 80)  # the second is underdispersed
    counts = np.stack([spread, even], 1)
    test = torch.from_numpy(counts[:20])
    figure = named(baselines(torch.from_numpy(counts), test, table(2, Kind.COUNT), 1))["independent marginals"]
    mean, variance = spread.mean(), spread.var()
    first = stats.nbinom(mean**2 / (variance - mean), mean / variance).logpmf(counts[:20, 0])
    second = stats.poisson(even.mean()).logpmf(counts[:20, 1])
    np.testing.assert_allclose(rows(figure), first + second, rtol=1e-9)
    assert "counts" in figure.reference_measure


def test_a_count_never_seen_in_training_keeps_a_finite_mass() -> None:
    train, test = torch.zeros(10, 1), torch.tensor([[0.0], [3.0]])
    figure = named(baselines(train, test, table(1, Kind.COUNT), 1))["independent marginals"]
    assert np.isfinite(rows(figure)).all()


def test_ppca_of_images_is_the_gaussian_of_its_covariance() -> None:
    train, test = reals(60, 4), reals(20, 4, seed=1)
    figure = baselines(train.view(-1, 1, 2, 2), test.view(-1, 1, 2, 2), image((1, 2, 2), Kind.REAL), 3)[1]
    t = train.double().numpy()
    expected = stats.multivariate_normal(t.mean(0), np.cov(t.T, bias=True)).logpdf(test.double().numpy())
    assert figure.name == "pPCA, q = 3"
    np.testing.assert_allclose(rows(figure), expected, rtol=1e-7)


def test_more_latents_than_dimensions_are_capped_and_said() -> None:
    figure = baselines(reals(60, 4), reals(9, 4), table(4, Kind.REAL), 20)[1]
    assert figure.name == "pPCA, q = 3"
    assert "full covariance" in figure.note


def test_ppca_of_a_table_is_equivariant_to_the_units_of_its_columns() -> None:
    train, test = reals(60, 4).double(), reals(20, 4, seed=1).double()
    units = torch.tensor([1.0, 1e-3, 1e4, 7.0], dtype=torch.float64)
    plain = baselines(train, test, table(4, Kind.REAL), 2)
    scaled = baselines(train * units, test * units, table(4, Kind.REAL), 2)
    for one, other in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(rows(other), rows(one) - float(units.log().sum()), rtol=1e-8)


def test_ppca_of_levels_is_below_the_mass_of_its_own_cells() -> None:
    train, test = integers(4000, 1, 9), integers(4000, 1, 9, seed=1)
    figure = named(baselines(train, test, table(1, Kind.LEVELS, levels=9), 1))["pPCA"]
    # With one dimension the model is N(mean, variance of x + u), whose mass on [x, x + 1) SciPy knows.
    t = train.double().numpy()
    model = stats.norm(t.mean() + 0.5, math.sqrt(t.var() + 1 / 12))
    x = test.double().numpy()[:, 0]
    mass = np.log(model.cdf(x + 1) - model.cdf(x)).mean()
    assert figure.log_likelihood is not None
    assert mass - 0.05 < figure.log_likelihood < mass
    assert figure.reference_measure.startswith("lower bound on the probability mass of the 9 levels")


@pytest.mark.parametrize("kind", [Kind.BINARY, Kind.CATEGORICAL])
def test_a_density_is_not_set_beside_a_mass(kind: Kind) -> None:
    x = integers(30, 4, 2)
    assert "pPCA" not in named(baselines(x, x, table(4, kind, levels=2), 2))


@pytest.mark.parametrize(("kind", "levels"), [(Kind.LEVELS, 9), (Kind.COUNT, None)])
def test_dequantised_data_get_the_mass_of_their_cells(kind: Kind, levels: int | None) -> None:
    train, test = integers(50, 3, 9), integers(20, 3, 9, seed=1)
    raw = named(baselines(train, test, table(3, kind, levels), 1))["independent marginals"]
    spec = table(3, Kind.REAL, levels, transform="dequantize")
    noise = torch.Generator().manual_seed(0)
    noisy = [x + 0.99 * torch.rand(x.shape, generator=noise) for x in (train, test)]
    dequantised = named(baselines(noisy[0], noisy[1], spec, 1))["independent marginals"]
    np.testing.assert_allclose(rows(dequantised), rows(raw))
    assert "uniform dequantisation" in dequantised.reference_measure


def test_the_log_jacobian_makes_a_gaussian_of_logs_a_log_normal() -> None:
    x = reals(60, 1).double().exp()
    logs = x.log()
    spec = table(1, Kind.REAL, transform="log")
    mean, sd = float(logs.mean()), float(logs.std(correction=0))
    expected = stats.lognorm(sd, scale=math.exp(mean)).logpdf(x.numpy())[:, 0]
    for figure in baselines(logs, logs, spec, 1, log_jacobian=-logs):
        np.testing.assert_allclose(rows(figure), expected, rtol=1e-9)


@pytest.mark.parametrize("transform", ["log", "log1p", "logit:squeeze=0.01"])
def test_without_the_log_jacobian_no_density_of_other_units_is_shown(transform: str) -> None:
    x = reals(20, 2)
    assert baselines(x, x, table(2, Kind.REAL, transform=transform), 1) == []


def test_a_constant_column_has_a_finite_density_and_is_counted() -> None:
    train, test = reals(40, 3), reals(10, 3)
    train[:, 1] = 5.0
    marginals, ppca = baselines(train, test, table(3, Kind.REAL), 1)
    assert "1 constant" in marginals.note
    assert np.isfinite(rows(marginals)).all()
    assert np.isfinite(rows(ppca)).all()


def test_columns_that_copy_each_other_leave_a_floor_that_is_said() -> None:
    x = reals(40, 1).repeat(1, 3)
    ppca = baselines(x, x, table(3, Kind.REAL), 1)[1]
    assert "floor" in ppca.note
    assert np.isfinite(rows(ppca)).all()


def test_one_row_has_no_standard_error() -> None:
    assert all(each.standard_error is None for each in baselines(reals(9, 2), reals(1, 2), table(2, Kind.REAL), 1))


def test_values_outside_the_declared_levels_are_refused() -> None:
    with pytest.raises(DataError, match=r"outside the levels 0\.\.1"):
        baselines(integers(30, 4, 9), integers(5, 4, 2), table(4, Kind.BINARY), 2)


def test_no_rows_are_refused() -> None:
    with pytest.raises(DataError, match="empty"):
        baselines(reals(5, 2), reals(0, 2), table(2, Kind.REAL), 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_is_the_size_of_the_files(channels: int) -> None:
    pixels = integers(7, channels * 64, 256).view(7, channels, 8, 8)
    found = named(baselines(pixels, pixels, image((channels, 8, 8), Kind.BYTE, 256), 2))
    sizes = []
    for each in pixels.permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(each.squeeze()).save(file, "PNG", optimize=True)
        assert np.array_equal(np.asarray(Image.open(file)), each.squeeze())
        sizes.append(len(file.getvalue()))
    assert found["PNG"].bits_per_dim == pytest.approx(8 * np.mean(sizes) / (channels * 64))
    np.testing.assert_allclose(rows(found["PNG"]), -8 * LN2 * np.array(sizes))
    assert found["PNG"].reference_measure == "probability mass on the 256 byte values per pixel"


def test_png_of_many_images_is_taken_on_some_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    # By its place in sys.modules: the package exports a function of the module's name.
    monkeypatch.setattr(sys.modules["nelbo.solvers.baselines"], "PNG_ROWS", 5)
    pixels = integers(20, 64, 256).view(20, 1, 8, 8)
    png = named(baselines(pixels, pixels, image((1, 8, 8), Kind.BYTE, 256), 2))["PNG"]
    assert "5 of the 20 test rows" in png.note
    assert png.per_row is None
    assert png.standard_error is not None


def test_gzip_is_the_size_of_one_file_of_all_rows() -> None:
    pixels = integers(20, 64, 256).view(20, 1, 8, 8)
    found = named(baselines(pixels, pixels, image((1, 8, 8), Kind.BYTE, 256), 2))
    bits = 8 * len(gzip.compress(pixels.numpy().tobytes(), 9))
    assert found["gzip"].bits_per_dim == pytest.approx(bits / pixels.numel())
    assert found["gzip"].log_likelihood == pytest.approx(-bits * LN2 / 20)


def test_binary_images_are_packed_before_gzip() -> None:
    pixels = integers(50, 64, 2).float().view(50, 1, 8, 8)
    found = named(baselines(pixels, pixels, image((1, 8, 8), Kind.BINARY), 2))
    assert found["gzip"].bits_per_dim < 1.2
    assert "PNG" not in found


def test_dequantised_bytes_are_compressed_as_bytes() -> None:
    pixels = integers(20, 64, 256).view(20, 1, 8, 8)
    raw = named(baselines(pixels, pixels, image((1, 8, 8), Kind.BYTE, 256), 2))
    noisy = pixels + 0.5
    found = named(baselines(noisy, noisy, image((1, 8, 8), Kind.REAL, 256, "dequantize"), 2))
    for name in ("PNG", "gzip"):
        assert found[name].bits_per_dim == raw[name].bits_per_dim
        assert found[name].reference_measure == raw[name].reference_measure


@pytest.mark.parametrize("transform", ["none", "density", "logit"])
def test_densities_of_images_get_no_compressor(transform: str) -> None:
    x = reals(20, 64).view(20, 1, 8, 8)
    levels = None if transform == "none" else 256
    spec = image((1, 8, 8), Kind.REAL, levels, transform)
    assert len(baselines(x, x, spec, 2, log_jacobian=torch.zeros_like(x))) == 2


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = integers(40, 6, 9), integers(20, 6, 9, seed=1)
    whole = baselines(train, test, table(6, Kind.LEVELS, 9), 2)
    monkeypatch.setattr("nelbo.solvers.rows.CHUNK_CELLS", 40)
    for one, other in zip(whole, baselines(train, test, table(6, Kind.LEVELS, 9), 2), strict=True):
        np.testing.assert_allclose(rows(other), rows(one), rtol=1e-10)


def test_on_digits_dependence_between_pixels_is_worth_nats() -> None:
    x = torch.from_numpy(load_digits().data).to(torch.uint8).view(-1, 1, 8, 8)
    found = named(baselines(x[:1400], x[1400:], image((1, 8, 8), Kind.LEVELS, 17), 10))
    # A pixel of 17 levels holds log2(17) = 4.09 bits at most.
    assert 1.0 < found["independent marginals"].bits_per_dim < math.log2(17)
    assert all(each.standard_error is None or 0 < each.standard_error < 5 for each in found.values())


@pytest.mark.data
def test_compressors_reach_their_known_rates_on_mnist() -> None:
    content = gzip.decompress(next((Path(os.environ["NELBO_DATA"]) / "mnist").glob("t10k-images*")).read_bytes())
    x = torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=16).view(-1, 1, 28, 28)
    found = named(baselines(x[:5000], x, image((1, 28, 28), Kind.BYTE, 256), 5))
    # Townsend, Bird & Barber (2019), table 2: gzip 1.64, PNG 2.79 bits per dimension.
    assert found["gzip"].bits_per_dim == pytest.approx(1.64, abs=0.05)
    assert found["PNG"].bits_per_dim == pytest.approx(2.79, abs=0.1)
