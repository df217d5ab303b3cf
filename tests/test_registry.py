"""Specs: what a part remembers of how it was built, and part strings."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from nelbo.errors import CompositionError, ConfigError
from nelbo.likelihoods import GaussianLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP, Linear
from nelbo.objectives import ELBO, SampledKL
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import StandardNormalPrior
from nelbo.registry import build, lookup, parse_part, register, registered, spec_of

SPEC: dict[str, Any] = {
    "part": "objective/elbo",
    "model": {
        "part": "model/latent",
        "prior": {"part": "prior/standard", "dim": 2},
        "posterior": {
            "part": "posterior/gaussian",
            "network": {"part": "network/mlp", "in_features": 6, "out_features": 4, "hidden": [5]},
        },
        "likelihood": {
            "part": "likelihood/gaussian",
            "network": {"part": "network/linear", "in_features": 2, "out_features": 6},
            "shape": [6],
            "sigma": "shared",
        },
    },
    "samples": 3,
    "kl": {"part": "kl/sampled"},
}


def composed() -> ELBO:
    return ELBO(
        LatentVariableModel(
            StandardNormalPrior(2),
            GaussianPosterior(MLP(6, 4, hidden=(5,))),
            GaussianLikelihood(Linear(2, 6), (6,), sigma="shared"),
        ),
        samples=3,
        kl=SampledKL(),
    )


def test_a_composed_object_has_the_spec_of_its_constructor_arguments() -> None:
    assert spec_of(composed()) == SPEC


def test_a_spec_is_plain_json() -> None:
    assert json.loads(json.dumps(spec_of(composed()))) == SPEC


def test_a_spec_builds_what_it_describes() -> None:
    made = build(SPEC)
    assert isinstance(made, ELBO)
    assert spec_of(made) == SPEC
    assert [tuple(p.shape) for p in made.parameters()] == [tuple(p.shape) for p in composed().parameters()]


def test_recorded_arguments_are_no_second_home_of_the_weights() -> None:
    made = composed()
    assert len(list(made.parameters())) == len({id(p) for p in made.parameters()})
    assert not any("_arguments" in name for name in made.state_dict())
    moved = made.double()
    assert all(p.dtype == torch.float64 for p in moved.parameters())


def test_a_spec_does_not_change_with_training() -> None:
    made = composed()
    with torch.no_grad():
        for p in made.parameters():
            p.add_(1)
    made.samples = 99
    assert spec_of(made) == SPEC


# A module of the user's own.


def custom() -> ELBO:
    own = nn.Sequential(nn.Linear(6, 4))
    model = LatentVariableModel(StandardNormalPrior(2), GaussianPosterior(own), GaussianLikelihood(Linear(2, 6), (6,)))
    return ELBO(model)


def test_a_module_of_the_users_own_is_named_and_not_stored() -> None:
    spec = spec_of(custom())
    assert spec["model"]["posterior"]["network"] == {
        "part": "custom",
        "class": "torch.nn.modules.container.Sequential",
    }


def test_a_module_of_the_users_own_must_be_handed_over_by_its_path() -> None:
    with pytest.raises(CompositionError, match=r"networks=\{'model\.posterior\.network': module\}"):
        build(spec_of(custom()))
    own = nn.Sequential(nn.Linear(6, 4))
    made = build(spec_of(custom()), {"model.posterior.network": own})
    assert made.model.posterior.network is own


# What is refused.


def test_an_unknown_part_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown likelihood 'bernouli'; did you mean 'bernoulli'"):
        build({"part": "likelihood/bernouli"})
    with pytest.raises(ConfigError, match=r"unknown prior 'vampire'; .*known: .*standard"):
        lookup("prior/vampire")


@pytest.mark.parametrize("part", ["", "nonsense", "os/system"])
def test_nothing_but_registered_classes_is_ever_built(part: str) -> None:
    with pytest.raises(ConfigError, match="unknown"):
        build({"part": part, "command": "true"})


def test_arguments_a_part_does_not_take_are_refused_with_those_it_does() -> None:
    with pytest.raises(CompositionError, match=r"prior/standard: .*'dims'.*; it takes: dim"):
        build({"part": "prior/standard", "dim": 3, "dims": 3})
    with pytest.raises(CompositionError, match=r"prior/standard: missing .*'dim'"):
        build({"part": "prior/standard"})


@pytest.mark.usefixtures("own_parts")
def test_a_part_of_the_users_own_can_be_registered_and_built() -> None:
    @register("network/constant")
    class Constant(nn.Module):
        def __init__(self, value: float, *, times: int = 1) -> None:
            super().__init__()
            self.total = value * times

    made = Constant(2.0, times=3)
    assert spec_of(made) == {"part": "network/constant", "value": 2.0, "times": 3}
    assert build(spec_of(made)).total == 6.0
    assert "constant" in dict(registered("network"))


@pytest.mark.usefixtures("own_parts")
def test_a_name_that_is_taken_is_refused() -> None:
    class Other(nn.Module): ...

    with pytest.raises(CompositionError, match=r"'network/mlp' is taken by nelbo\.networks\.mlp\.MLP; choose another"):
        register("network/mlp")(Other)
    assert lookup("network/mlp") is MLP


def test_registered_names_are_in_alphabetical_order() -> None:
    names = [name for name, _ in registered("likelihood")]
    assert names == sorted(names)
    assert {"bernoulli", "continuous-bernoulli", "discretized-logistic", "gaussian"} <= set(names)


# Part strings.


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("vae", "vae", {}),
        (" adam ", "adam", {}),
        ("adam:betas=0.9+0.99", "adam", {"betas": [0.9, 0.99]}),
        ("rmsprop:centered=true,momentum=0.5", "rmsprop", {"centered": True, "momentum": 0.5}),
        ("linear:0.2", "linear", {"": 0.2}),
        ("linear:10epochs", "linear", {"": "10epochs"}),
        ("cyclic:0.8,cycles=4", "cyclic", {"": 0.8, "cycles": 4}),
        ("conv:channels=32+64,activation=leaky-relu", "conv", {"channels": [32, 64], "activation": "leaky-relu"}),
        ("adam:eps=1e-8", "adam", {"eps": 1e-8}),
        ("adam:eps=1e+2", "adam", {"eps": 100.0}),
        ("x:names=shape+size", "x", {"names": ["shape", "size"]}),
        ("x:a=-3", "x", {"a": -3}),
        ("x:a=+3", "x", {"a": 3}),
        ("x:a=False", "x", {"a": False}),
        ("x:", "x", {}),
        ("x:a=1,,b=2,", "x", {"a": 1, "b": 2}),
    ],
)
def test_part_strings_are_read_with_their_types(text: str, name: str, options: dict[str, object]) -> None:
    found = parse_part(text)
    assert found == (name, options)
    assert [type(value) for value in found[1].values()] == [type(value) for value in options.values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' names nothing; write name or name:key=value"),
        (":a=1", "names nothing"),
        ("x:a=1,a=2", "gives 'a' twice; keep one"),
        ("x:1,2", "gives 'a value' twice; keep one"),
    ],
)
def test_part_strings_that_say_nothing_or_too_much_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_part(text)
