"""Laws of scaling: it is fitted on the training rows alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from nelbo.data import Batches, Split, fit_spec, load, split, transform
from nelbo.errors import CompositionError, ConfigError

RANDOM = np.random.default_rng(0)
TABLE = (RANDOM.standard_normal((300, 3)) * [1, 5, 1e-6] + [0, 1000, 1e-5]).astype(np.float32)


def test_tables_are_standardised_as_by_scikit_learn_on_training_rows() -> None:
    data = load(TABLE)
    parts = split(data)
    scaling = fit_spec(data, parts, transform("none", data.spec)).scaling
    expected = StandardScaler().fit(TABLE[parts.train.numpy()].astype(np.float64))
    assert scaling.name == "standardise"
    assert np.allclose(scaling.shift, expected.mean_, rtol=1e-6)
    assert np.allclose(scaling.scale, expected.scale_, rtol=1e-6)


def test_rows_outside_training_do_not_move_the_scaling() -> None:
    changed = TABLE.copy()
    parts = split(load(TABLE))
    changed[parts.test.numpy()] += 50
    changed[parts.validation.numpy()] -= 50
    before, after = (fit_spec(d, parts, transform("none", d.spec)).scaling for d in (load(TABLE), load(changed)))
    assert before == after


@pytest.mark.parametrize("value", [0.0, 0.1, 123456.7])
def test_constant_columns_keep_their_scale(value: float) -> None:
    table = TABLE.copy()
    table[:, 1] = value
    data = load(table)
    scale = fit_spec(data, split(data), transform("none", data.spec)).scaling.scale
    assert isinstance(scale, tuple)
    assert scale[1] == 1.0
    assert scale[2] < 1e-4


def test_images_of_real_values_share_one_mean_and_deviation() -> None:
    images = RANDOM.standard_normal((50, 6, 6)).astype(np.float32)
    data = load(images)
    parts = split(data, "all")
    scaling = fit_spec(data, parts, transform("none", data.spec)).scaling
    assert scaling.shift == pytest.approx(images.astype(np.float64).mean(), abs=1e-9)
    assert scaling.scale == pytest.approx(images.astype(np.float64).std(), rel=1e-9)


@pytest.mark.parametrize(
    ("text", "name", "scale"),
    [("none", "unit", 16.0), ("dequantize", "unit", 17.0), ("density", "unit", 16.0), ("binarize", "none", 1.0)],
)
def test_levels_are_divided_by_their_range(text: str, name: str, scale: float) -> None:
    data = load("digits")
    scaling = fit_spec(data, split(data), transform(text, data.spec)).scaling
    assert (scaling.name, scaling.shift, scaling.scale) == (name, 0.0, scale)


def test_the_logarithm_is_taken_before_standardising() -> None:
    table = np.exp(RANDOM.standard_normal((200, 2))) + 0.01
    data = load(table, kind="positive")
    parts = split(data, "all")
    scaling = fit_spec(data, parts, transform("log", data.spec)).scaling
    assert np.allclose(scaling.shift, np.log(table).mean(0), atol=1e-5)
    assert np.allclose(scaling.scale, np.log(table).std(0), rtol=1e-5)


def test_a_noisy_transform_gives_the_same_scaling_every_time() -> None:
    data = load("digits")
    parts, f = split(data), transform("logit", data.spec)
    assert fit_spec(data, parts, f).scaling == fit_spec(data, parts, f).scaling


def test_scaling_by_hand() -> None:
    data = load(TABLE)
    parts, f = Split(torch.arange(300), torch.arange(1), torch.arange(1), "all"), transform("none", data.spec)
    assert fit_spec(data, parts, f, "none").scaling.name == "none"
    unit = fit_spec(data, parts, f, "unit").scaling
    assert np.allclose(unit.shift, TABLE.min(0))
    assert np.allclose(unit.scale, np.ptp(TABLE.astype(np.float64), axis=0))
    with pytest.raises(ConfigError, match="did you mean 'standardise'"):
        fit_spec(data, parts, f, "standardize")


def test_bytes_can_be_standardised_by_hand() -> None:
    data = load("digits")
    parts = split(data, "all")
    scaling = fit_spec(data, parts, transform("none", data.spec), "standardise").scaling
    assert scaling.shift == pytest.approx(data.x.double().mean().item())
    assert scaling.scale == pytest.approx(data.x.double().std(correction=0).item())


def test_an_encoder_can_read_the_logarithm_of_counts_that_are_scored_as_they_are() -> None:
    table = RANDOM.poisson(20 * np.exp(RANDOM.standard_normal((200, 3))))
    data = load(table, kind="count")
    parts, f = split(data), transform("none", data.spec)
    spec, plain = fit_spec(data, parts, f, "log1p"), fit_spec(data, parts, f)
    assert spec.scaling == plain.scaling
    peer = StandardScaler().fit(np.log1p(table[parts.train.numpy()]))
    cpu = torch.device("cpu")
    batch = next(Batches(data, parts.test, spec, f, batch_size=50, seed=0, device=cpu).fixed())
    assert torch.equal(batch.x, data.x[parts.test])
    assert spec.reading is not None
    seen = (batch.x.log1p() - torch.tensor(spec.reading.shift)) / torch.tensor(spec.reading.scale)
    np.testing.assert_allclose(seen, peer.transform(np.log1p(table[parts.test.numpy()])), atol=1e-5)
    assert "reads log(1 + x)" in spec.explain()


def test_the_logarithm_is_refused_for_what_is_no_count() -> None:
    data = load(TABLE)
    with pytest.raises(CompositionError, match=r"--scaling log1p is for .* counts, but 'array' is real"):
        fit_spec(data, split(data), transform("none", data.spec), "log1p")


def test_the_explanation_says_how_a_network_sees_the_values() -> None:
    data = load("digits")
    assert "divided by 16" in fit_spec(data, split(data), transform("none", data.spec)).explain()
