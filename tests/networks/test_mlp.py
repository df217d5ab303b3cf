"""Fully connected networks against their formulas."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nelbo.errors import ConfigError
from nelbo.networks import MLP, GatedMLP, Linear, Network, ResidualMLP
from nelbo.networks.mlp import ACTIVATIONS, apply

MAKERS = {
    "residual": lambda context: ResidualMLP(12, 5, hidden=(7, 6), blocks=2, context=context),
    "linear": lambda context: Linear(12, 5, context=context),
    "mlp": lambda context: MLP(12, 5, hidden=(7, 6), context=context),
    "gated": lambda context: GatedMLP(12, 5, hidden=(7, 6), context=context),
}
EVERY = pytest.mark.parametrize("name", MAKERS)


@EVERY
def test_event_dimensions_are_flattened_and_the_batch_axis_stays(name: str) -> None:
    network = MAKERS[name](0)
    images = torch.randn(4, 1, 3, 4)
    out = network(images)
    assert out.shape == (4, 5)
    assert network.out_features == 5
    torch.testing.assert_close(out, network(images.flatten(1)))


@EVERY
def test_rows_do_not_see_each_other(name: str) -> None:
    network, x = MAKERS[name](0), torch.randn(4, 12)
    torch.testing.assert_close(network(x)[2:3], network(x[2:3]))


@EVERY
def test_context_is_appended_to_the_input(name: str) -> None:
    network, x, context = MAKERS[name](3), torch.randn(4, 12), torch.randn(4, 3)
    out = network(x, context)
    assert out.shape == (4, 5)
    assert not torch.equal(out, network(x, context + 1))
    joined = MAKERS[name](0)
    assert sum(p.numel() for p in network.parameters()) > sum(p.numel() for p in joined.parameters())


def test_a_linear_network_is_an_affine_map() -> None:
    network, x = Linear(3, 2).double(), torch.randn(4, 3).double()
    expected = x @ network.layer.weight.T + network.layer.bias
    torch.testing.assert_close(network(x), expected)


def test_an_mlp_alternates_affine_maps_and_activations() -> None:
    network, x = MLP(3, 2, hidden=(4, 5), activation="tanh").double(), torch.randn(6, 3).double()
    parameters = list(network.parameters())
    h = x
    for i in range(0, 6, 2):
        h = h @ parameters[i].T + parameters[i + 1]
        h = torch.tanh(h) if i < 4 else h
    torch.testing.assert_close(network(x), h)


def test_a_gated_layer_is_a_value_times_a_sigmoid_gate() -> None:
    network, x = GatedMLP(3, 2, hidden=(4,)).double(), torch.randn(6, 3).double()
    weight, bias, last, last_bias = (p.detach() for p in network.parameters())
    value, gate = x @ weight[:4].T + bias[:4], x @ weight[4:].T + bias[4:]
    torch.testing.assert_close(network(x), (value / (1 + torch.exp(-gate))) @ last.T + last_bias)


@pytest.mark.parametrize("make", [MLP, GatedMLP, ResidualMLP])
def test_one_hidden_size_needs_no_list(make: type[Any]) -> None:
    assert [p.shape for p in make(3, 2, hidden=4).parameters()] == [p.shape for p in make(3, 2, (4,)).parameters()]


def test_no_hidden_layer_is_an_affine_map() -> None:
    assert [p.shape for p in MLP(3, 2, hidden=()).parameters()] == [(2, 3), (2,)]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_applied(name: str) -> None:
    x = torch.linspace(-3, 3, 9).view(-1, 1)
    network = MLP(1, 1, hidden=(1,), activation=name)
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), (1.0, 0.0, 1.0, 0.0), strict=True):
            parameter.fill_(value)
    torch.testing.assert_close(network(x), ACTIVATIONS[name]()(x.clone()))


def test_an_unknown_activation_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown activation 'rellu'; did you mean 'relu'"):
        MLP(3, 2, activation="rellu")


def test_glorots_start_is_uniform_within_his_bound_and_has_no_bias() -> None:
    torch.manual_seed(0)
    for layer in MLP(300, 100, hidden=(200,), init="glorot").layers:
        if isinstance(layer, nn.Linear):
            bound = math.sqrt(6 / (layer.in_features + layer.out_features))
            assert 0.99 * bound < float(layer.weight.detach().abs().max()) <= bound
            assert float(layer.weight.detach().var()) == pytest.approx(bound**2 / 3, rel=0.03)
            assert not bool(layer.bias.any())


def test_an_unknown_start_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="unknown initial weights of an mlp 'glorott'; did you mean 'glorot'"):
        MLP(3, 2, init="glorott")


@pytest.mark.parametrize("make", [lambda h: MLP(3, 2, hidden=h), lambda h: GatedMLP(3, 2, hidden=h)])
@pytest.mark.parametrize("hidden", [(0,), (5, -1)])
def test_layers_without_units_are_refused(make: type[Network], hidden: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"layer sizes must be 1 or more, but .* use e\.g\. --hidden 512,256"):
        make(hidden)


def test_a_module_of_the_users_own_is_called_without_a_context_it_does_not_know() -> None:
    own, x = nn.Linear(3, 2), torch.randn(4, 3)
    torch.testing.assert_close(apply(own, x, None), own(x))

    class Conditional(nn.Module):
        def forward(self, x: Tensor, context: Tensor) -> Tensor:
            return x + context

    torch.testing.assert_close(apply(Conditional(), x, x), 2 * x)
