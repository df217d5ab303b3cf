"""The zoo: which likelihood fits which kind of data, and what the recipes make of settings."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from nelbo.data import Data, Kind, load
from nelbo.errors import CompositionError, ConfigError, NelboError
from nelbo.recipes import RECIPES, choose_transform, find
from nelbo.registry import build
from nelbo.settings import Settings, resolve
from nelbo.train import prepare
from zoo import CASES, SMALL, rows_of


def data_of(kind: Kind) -> Data:
    """Rows of every kind, also of those without a likelihood here."""
    if kind in {Kind.CATEGORICAL, Kind.ORDINAL}:
        return load(torch.randint(0, 5, (40, 3)).numpy(), name=kind.value, kind=kind.value)
    return rows_of({Kind.BYTE: "bytes"}.get(kind, kind.value))


# The design's table, from its words: kind -> likelihood -> transforms after which it fits ("none": as it is).
TABLE: dict[Kind, dict[str, set[str]]] = {
    Kind.BINARY: {"bernoulli": {"none"}},
    Kind.BYTE: {
        "discretized-logistic": {"none"},
        "bernoulli": {"binarize"},
        "gaussian": {"dequantize", "density", "logit"},
        "continuous-bernoulli": {"dequantize", "density"},
    },
    Kind.LEVELS: {
        "discretized-logistic": {"none"},
        "bernoulli": {"binarize"},
        "gaussian": {"dequantize", "density", "logit"},
        "continuous-bernoulli": {"dequantize", "density"},
    },
    Kind.UNIT: {"continuous-bernoulli": {"none"}, "gaussian": {"logit", "density"}, "bernoulli": {"binarize"}},
    Kind.REAL: {"gaussian": {"none"}},
    Kind.POSITIVE: {"gaussian": {"log", "density"}},
    Kind.COUNT: {"gaussian": {"log1p", "density"}},
    Kind.CATEGORICAL: {},
    Kind.ORDINAL: {},
}
LIKELIHOODS = ("bernoulli", "continuous-bernoulli", "discretized-logistic", "gaussian")
TRANSFORMS = ("none", "binarize", "dequantize", "density", "logit", "log", "log1p")
GRID = [(kind, name, transform) for kind in TABLE for name in LIKELIHOODS for transform in TRANSFORMS]


def settle(kind: Kind, **settings: Any) -> tuple[str, str]:
    return choose_transform(data_of(kind).spec, resolve(settings))


@pytest.mark.parametrize(
    ("kind", "name", "transform"), GRID, ids=lambda value: value.value if isinstance(value, Kind) else value
)
def test_a_likelihood_is_accepted_or_refused_as_the_design_says(kind: Kind, name: str, transform: str) -> None:
    settings = {"likelihood": name, "transform": transform}
    if transform in TABLE[kind].get(name, set()):
        assert settle(kind, **settings) == (transform, name)
        job = prepare(resolve(SMALL, settings, {"source": kind.value}), data_of(kind))
        assert bool(torch.isfinite(job.build()(next(iter(job.batches("train").fixed()))).loss))
        return
    with pytest.raises(NelboError) as caught:
        prepare(resolve(SMALL, settings), data_of(kind))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [kind for kind in TABLE if TABLE[kind]], ids=lambda kind: kind.value)
def test_every_kind_has_a_default_that_fits(kind: Kind) -> None:
    transform, likelihood = settle(kind)
    assert transform in TABLE[kind][likelihood.split(":")[0]]


@pytest.mark.parametrize("kind", [Kind.CATEGORICAL, Kind.ORDINAL], ids=lambda kind: kind.value)
def test_a_kind_without_a_likelihood_is_refused_with_a_way_out(kind: Kind) -> None:
    with pytest.raises(CompositionError, match=rf"no likelihood here fits {kind.value} data .*0/1 columns.*--drop"):
        settle(kind)


REFUSED = [(kind, name) for kind in TABLE for name in LIKELIHOODS if "none" not in TABLE[kind].get(name, set())]


@pytest.mark.parametrize(("kind", "name"), REFUSED, ids=lambda value: value.value if isinstance(value, Kind) else value)
def test_a_refusal_says_what_is_needed_what_is_there_and_only_ways_out_that_work(kind: Kind, name: str) -> None:
    data = data_of(kind)
    with pytest.raises(CompositionError) as caught:
        choose_transform(data.spec, resolve({"likelihood": name}))
    message = str(caught.value)
    assert message.startswith(f"likelihood {name!r} needs ")
    assert f"but {data.spec.name!r} holds" in message
    ways = [way for way in message.partition("; use ")[2].split(", or ") if way]
    assert ways or kind in {Kind.CATEGORICAL, Kind.ORDINAL}
    for way in ways:
        flags = dict(re.findall(r"--([a-z]+) ([a-z0-9-]+)", way))
        prepare(resolve(SMALL, {"likelihood": name, **flags}), data)
    assert ways or message.endswith("encode them as 0/1 columns, or leave them out with --drop")


def test_grey_levels_are_counted_in_the_refusal() -> None:
    with pytest.raises(CompositionError, match=r"'bytes' holds 256 grey levels; use --likelihood discretized-logistic"):
        settle(Kind.BYTE, likelihood="bernoulli")
    with pytest.raises(CompositionError, match=r"'levels' holds 17 levels; .*or --binarize dynamic"):
        settle(Kind.LEVELS, likelihood="bernoulli")


@pytest.mark.parametrize(
    ("kind", "transform", "likelihood"),
    [
        (Kind.BYTE, "binarize:mode=threshold", "bernoulli"),
        (Kind.BYTE, "dequantize", "continuous-bernoulli"),
        (Kind.LEVELS, "logit", "gaussian:sigma=dimension"),
        (Kind.UNIT, "logit", "gaussian:sigma=dimension"),
        (Kind.COUNT, "density", "gaussian:sigma=dimension"),
    ],
)
def test_a_transform_that_was_named_finds_its_likelihood(kind: Kind, transform: str, likelihood: str) -> None:
    assert settle(kind, transform=transform) == (transform, likelihood)


def test_a_table_of_several_kinds_is_real_unless_a_likelihood_by_column_is_asked_for() -> None:
    data = rows_of("mixed")
    assert data.spec.kind is Kind.REAL
    assert choose_transform(data.spec, resolve({})) == ("none", "gaussian:sigma=dimension")
    for asked in (
        {"likelihood": "mixed"},
        {"transform": "by-column"},
        {"likelihood": "mixed", "transform": "by-column"},
    ):
        assert choose_transform(data.spec, resolve(asked)) == ("by-column", "mixed")
    named = "mixed:ordinal=column2"
    assert choose_transform(data.spec, resolve({"likelihood": named})) == ("by-column", named)
    for wrong in ({"likelihood": "mixed", "transform": "none"}, {"likelihood": "gaussian", "transform": "by-column"}):
        with pytest.raises(CompositionError, match=r"belong together, .*; leave one of the two out"):
            choose_transform(data.spec, resolve(wrong))


def test_misspelt_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown recipe 'vea'; did you mean 'vae'"):
        find("vea")
    with pytest.raises(ConfigError, match="did you mean 'bernoulli'"):
        settle(Kind.BINARY, likelihood="bernouli")
    for settings, near in (
        ({"network": "mpl"}, "mlp"),
        ({"network": "mlp:activatoin=relu"}, "activation"),
        ({"objective": "elbow"}, "elbo"),
        ({"objective": "elbo:kl=analytc"}, "analytic"),
        ({"likelihood": "bernoulli:sigm=1"}, "known"),
    ):
        with pytest.raises(ConfigError, match=near):
            prepare(resolve(SMALL, settings), rows_of("binary"))


# What the settings become.


def spec_for(data: str, **settings: Any) -> dict[str, Any]:
    return dict(prepare(resolve(SMALL, settings), rows_of(data)).objective_spec)


def test_settings_reach_the_parts() -> None:
    spec = spec_for("real", latent=3, hidden=(7, 5), samples=4, beta=2.0, min_log_variance=-9.0)
    assert (spec["samples"], spec["beta"]) == (4, 2.0)
    model = spec["model"]
    assert model["prior"]["dim"] == 3
    assert model["posterior"]["network"] == {
        "part": "network/mlp",
        "in_features": 6,
        "out_features": 6,
        "hidden": [7, 5],
    }
    assert model["likelihood"]["network"]["hidden"] == [5, 7]
    assert model["posterior"]["min_log_variance"] == model["likelihood"]["min_log_variance"] == -9.0


def test_options_of_a_part_string_win_over_the_settings() -> None:
    spec = spec_for("real", network="mlp:hidden=3,activation=tanh", likelihood="gaussian:sigma=datum")
    assert spec["model"]["likelihood"]["network"]["activation"] == "tanh"
    assert spec["model"]["likelihood"]["sigma"] == "datum"
    assert spec["model"]["likelihood"]["network"]["out_features"] == 12


def test_the_scaling_of_the_data_is_that_of_the_likelihood() -> None:
    job = prepare(resolve(SMALL), rows_of("real"))
    likelihood = job.objective_spec["model"]["likelihood"]
    scaling = job.spec.scaling
    assert isinstance(scaling.scale, tuple)
    assert (tuple(likelihood["shift"]), tuple(likelihood["scale"])) == (scaling.shift, scaling.scale)


def test_the_sampled_kl_is_chosen_by_the_objective_string() -> None:
    assert spec_for("real", objective="elbo:kl=sampled")["kl"] == {"part": "kl/sampled"}
    assert spec_for("real")["kl"] == {"part": "kl/analytic"}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.name == name
    assert recipe.summary.endswith(".")
    assert re.fullmatch(r"[a-z]+\d{4}", recipe.citation)
    assert set(recipe.defaults) <= set(Settings.model_fields)
    resolve(recipe.defaults)


def test_recipes_are_what_they_are_called() -> None:
    made = {case.name: build(case.job.objective_spec) for case in CASES}
    assert float(made["beta-vae-binary"].get_buffer("regulariser.beta.value")) == 4.0
    assert "ConvTranspose2d" in str(made["conv-vae-levels"])
    assert "ReLU" not in str(made["linear-vae-real"])


def test_a_convolutional_recipe_on_a_table_is_refused() -> None:
    with pytest.raises(CompositionError, match="use --network mlp"):
        prepare(resolve(RECIPES["conv-vae"].defaults, SMALL), rows_of("real")).build()
