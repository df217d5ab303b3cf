"""Laws of transforms: inverses, log-Jacobians against numerical derivatives, and bounds on masses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from nelbo.data import (
    Binarize,
    DataSpec,
    Dequantize,
    Kind,
    Log,
    Log1p,
    Logit,
    NoTransform,
    RawDensity,
    Transform,
    load,
    transform,
)
from nelbo.errors import CompositionError, ConfigError

BYTES = torch.arange(256, dtype=torch.uint8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spec(kind: str, levels: int | None = None) -> DataSpec:
    return DataSpec(name="toy", event_shape=(2,), kind=kind, levels=levels, layout="table")  # type: ignore[arg-type]


SMOOTH = [
    (Log(), torch.linspace(0.01, 9, 50)),
    (Log1p(), torch.linspace(0, 40, 50)),
    (Logit(), torch.linspace(0.001, 0.999, 50)),
    (Logit(squeeze=0.05), torch.linspace(0, 1, 50)),
    (Logit(levels=256), torch.linspace(1, 254, 50)),
    (Logit(squeeze=0.01, levels=17), torch.linspace(1, 15, 50)),
    (Dequantize(256), torch.linspace(0, 255, 50)),
]


@pytest.mark.parametrize(("f", "x"), SMOOTH, ids=lambda value: getattr(value, "name", ""))
def test_log_jacobian_is_the_log_of_the_numerical_derivative(f: Transform, x: Tensor) -> None:
    x, step = x.double(), 1e-6
    slope = (f(x + step, generator())[0] - f(x - step, generator())[0]) / (2 * step)  # the same noise on both sides
    stated = f(x, generator())[1]
    assert torch.allclose(slope.log(), torch.zeros_like(x) if stated is None else stated, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (NoTransform(), BYTES),
        (RawDensity(), BYTES),
        (Dequantize(256), BYTES),
        (Dequantize(None), torch.tensor([0.0, 7, 1000, 70_000, 9_000_000])),
        (Logit(levels=256), BYTES),
        (Logit(levels=17), BYTES[:17]),
        (Log(), torch.linspace(0.1, 50, 99)),
        (Log1p(), torch.arange(99.0)),
        (Logit(), torch.linspace(0.01, 0.99, 99)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_inverse_takes_back_to_the_users_units(f: Transform, x: Tensor) -> None:
    many = x.repeat(200, 1)
    y = f(many, generator())[0]
    assert y.dtype == torch.float32
    assert torch.allclose(f.inverse(y), many.float(), rtol=1e-4, atol=1e-5)


def test_dequantised_levels_stay_below_the_next_in_single_precision() -> None:
    x = torch.full((2_000_000,), 255, dtype=torch.uint8)
    y = Dequantize(256)(x, generator())[0]
    assert y.min() >= 255
    assert y.max() < 256


def test_dequantisation_noise_is_uniform() -> None:
    noise = Dequantize(17)(torch.full((20_000,), 3), generator(1))[0] - 3
    assert stats.kstest(noise.double().numpy(), "uniform").pvalue > 0.01


def test_dequantised_density_bounds_the_mass_of_a_level() -> None:
    density = stats.norm(7.3, 2.0)
    y = Dequantize(17)(torch.full((50_000,), 8), generator())[0].double().numpy()
    mass = density.cdf(9) - density.cdf(8)
    mean = density.logpdf(y).mean()
    assert mean < math.log(mass)
    assert mean > math.log(mass) - 0.05


def test_a_density_through_logit_integrates_to_1_in_the_users_units() -> None:
    f = Logit(squeeze=1e-3)
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    y, log_jacobian = f(x, generator())
    assert log_jacobian is not None
    density = torch.from_numpy(stats.logistic.logpdf(y.numpy())) + log_jacobian
    inside = 1 - 2e-3  # the logistic's mass between the squeezed ends
    assert torch.trapezoid(density.exp(), x) == pytest.approx(inside, abs=1e-6)


def test_a_log_density_through_log_is_the_log_normal_of_scipy() -> None:
    x = torch.linspace(0.1, 5, 40, dtype=torch.float64)
    y, log_jacobian = Log()(x, generator())
    assert log_jacobian is not None
    ours = stats.norm(0.3, 0.7).logpdf(y.numpy()) + log_jacobian.numpy()
    assert np.allclose(ours, stats.lognorm(0.7, scale=math.exp(0.3)).logpdf(x.numpy()))


def test_dynamic_binarisation_has_the_grey_level_as_its_mean() -> None:
    x = torch.tensor([0, 4, 8, 16], dtype=torch.uint8).repeat(40_000, 1)
    y = Binarize("dynamic", 17)(x, generator())[0]
    assert set(y.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(y.mean(0), torch.tensor([0, 0.25, 0.5, 1]), atol=0.01)
    assert y[:, 0].max() == 0
    assert y[:, 3].min() == 1


def test_dynamic_binarisation_is_fresh_at_each_presentation() -> None:
    f, g = Binarize("dynamic", 256), generator()
    x = torch.full((100,), 128, dtype=torch.uint8)
    assert not torch.equal(f(x, g)[0], f(x, g)[0])


def test_threshold_cuts_above_half() -> None:
    f = Binarize("threshold", 17)
    assert f(torch.tensor([7, 8, 9]), generator())[0].tolist() == [0, 0, 1]
    assert not f.random
    assert Binarize("threshold", None)(torch.tensor([0.5, 0.51]), generator())[0].tolist() == [0, 1]


def test_noise_comes_from_the_generator_alone() -> None:
    state = torch.get_rng_state()
    for f in (Binarize(), Dequantize(), Logit(levels=256)):
        assert torch.equal(f(BYTES, generator(3))[0], f(BYTES, generator(3))[0])
        assert f.random
    assert torch.equal(torch.get_rng_state(), state)


def test_integers_are_never_handed_back_as_the_same_memory() -> None:
    x = torch.ones(3, dtype=torch.uint8)
    for f in (NoTransform(), RawDensity()):
        f(x, generator())[0].zero_()
    assert x.sum() == 3


@pytest.mark.parametrize(
    ("text", "kind", "levels", "after", "name"),
    [
        ("none", "byte", 256, "byte", "none"),
        ("binarize", "byte", 256, "binary", "binarize:mode=dynamic"),
        ("binarize:threshold", "levels", 17, "binary", "binarize:mode=threshold"),
        ("binarize:mode=dynamic", "unit", None, "binary", "binarize:mode=dynamic"),
        ("dequantize", "levels", 17, "real", "dequantize"),
        ("dequantize", "count", None, "real", "dequantize"),
        ("density", "byte", 256, "real", "density"),
        ("log", "positive", None, "real", "log"),
        ("log1p", "count", None, "real", "log1p"),
        ("logit", "unit", None, "real", "logit"),
        ("logit:squeeze=0.01", "byte", 256, "real", "logit:squeeze=0.01"),
    ],
)
def test_part_strings_build_transforms_that_say_their_spec(
    text: str, kind: str, levels: int | None, after: str, name: str
) -> None:
    before = spec(kind, levels)
    built = transform(text, before)
    done = built.spec(before)
    assert done.kind == after
    assert done.transform == built.name == name
    assert transform(name, before).name == name  # canonical


def test_scaling_follows_the_levels() -> None:
    byte = spec("byte", 256)
    assert Dequantize(256).spec(byte).scaling.scale == 256
    assert RawDensity().spec(byte).scaling.scale == 255
    assert Binarize().spec(byte).scaling.name == "none"


def test_read_by_column_only_what_is_still_scored_by_a_density_is_warned_of() -> None:
    x = np.random.default_rng(0).random((40, 3)) - 0.5
    table = np.column_stack([np.arange(40) % 2, x[:, 0], np.arange(40) - 20, np.arange(40) * 3])
    raw = load(table).spec
    assert "column1, column3, column4" in raw.warnings[0]
    spec = transform("by-column", raw).spec(raw)
    assert spec.kind is Kind.MIXED
    assert spec.warnings == ("a density on discrete columns can grow without bound: column3",)
    measure = "mixed: probability mass on the 2 discrete columns times Lebesgue density in the data's own units on the "
    assert spec.reference_measure(density=True) == measure + "2 continuous columns"
    counted = load(np.arange(80).reshape(40, 2), kind="count").spec
    assert "density" not in transform("by-column", counted).spec(counted).reference_measure(density=True)


def test_images_have_no_columns_to_be_read_by() -> None:
    images = load(np.zeros((4, 5, 5), np.uint8)).spec
    with pytest.raises(CompositionError, match="leave out --transform by-column"):
        transform("by-column", images).spec(images)


def test_figures_on_the_raw_grid_carry_a_warning() -> None:
    assert RawDensity().spec(spec("byte", 256)).warnings == ("density on the raw grid, not a probability mass",)
    assert "not a probability mass" in Log1p().spec(spec("count")).warnings[0]


def test_dequantised_spec_remembers_its_levels_and_binarised_forgets_them() -> None:
    assert Dequantize(17).spec(spec("levels", 17)).levels == 17
    assert Binarize("dynamic", 17).spec(spec("levels", 17)).levels is None


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("binarize", "real", "for real data use one of: none"),
        ("log", "byte", "for byte data use one of: none, binarize, dequantize, density, logit"),
        ("dequantize", "binary", "does not suit"),
        ("log1p", "unit", "for unit data use one of: none, binarize, density, logit"),
    ],
)
def test_a_transform_that_does_not_suit_is_refused_with_those_that_do(text: str, kind: str, words: str) -> None:
    with pytest.raises(CompositionError, match=words):
        transform(text, spec(kind, 256 if kind == "byte" else None))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("binarise", "did you mean 'binarize'"),
        ("binarize:mode=dynamc", "did you mean 'dynamic'"),
        ("binarize:moed=dynamic", "did you mean 'mode'"),
        ("logit:squeeze=0.7", "between 0 and 0.5"),
        ("logit:squeeze=much", "not a number"),
        ("dequantize:levels=7", "unknown setting"),
    ],
)
def test_misspelt_part_strings_are_refused_with_the_nearest(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        transform(text, spec("byte", 256))


def test_a_transform_of_real_data_sets_is_what_its_spec_says() -> None:
    data = load("digits")
    built = transform("binarize:mode=threshold", data.spec)
    y = built(data.x, generator())[0]
    assert torch.equal(y, (data.x.float() > 8).float())
