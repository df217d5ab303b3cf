"""What `--network` takes: networks for both ways, and pairs that declare themselves by their registered names."""

from __future__ import annotations

import pytest
from torch import Tensor

from nelbo.errors import ConfigError
from nelbo.networks import Network, halves, names, options
from nelbo.registry import register

pytestmark = pytest.mark.usefixtures("own_parts")


def declare(path: str) -> None:
    @register(path)
    class Own(Network):
        def __init__(self, in_features: int, out_features: int, sharpness: float = 1.0) -> None:
            super().__init__()

        def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
            return x


def test_the_networks_of_the_house() -> None:
    assert names() == ["conv", "conv-1d", "gated-mlp", "linear", "mlp", "residual-mlp", "resnet"]


def test_one_class_serves_both_ways() -> None:
    assert halves("mlp") == ("network/mlp", "network/mlp")


def test_a_pair_is_two_classes_named_alike() -> None:
    assert halves("conv") == ("network/conv-encoder", "network/conv-decoder")
    declare("network/own-encoder")
    assert "own" not in names()  # a half is no network yet
    declare("network/own-decoder")
    assert halves("own") == ("network/own-encoder", "network/own-decoder")
    assert "sharpness" in options("own")


@pytest.mark.parametrize("name", ["conv-encoder", "resnet-decoder", "conv1d", "own"])
def test_a_half_and_a_misspelling_are_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown network .* known: conv, conv-1d, "):
        halves(name)


def test_options_are_those_of_both_halves() -> None:
    assert {"hidden", "activation"} <= options("mlp")
    assert "hidden" not in options("conv")
    assert {"channels", "dropout", "blocks", "shape"} <= options("resnet")
    assert "parameters" not in options("resnet")
