"""Fully connected networks: linear, multilayer perceptron, gated multilayer perceptron."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, final, get_args

import torch
from torch import Tensor, nn

from nelbo.arguments import Widths
from nelbo.errors import ConfigError, unknown
from nelbo.registry import register

# ReLU writes over its input, which no layer before it needs for its gradient: one buffer less in every hidden layer.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky-relu": nn.LeakyReLU,
    "relu": functools.partial(nn.ReLU, inplace=True),
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
Start = Literal["torch", "glorot"]


def activation(name: str) -> nn.Module:
    """A fresh activation by name; an unknown one is refused with the nearest."""
    if name not in ACTIVATIONS:
        raise unknown("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


class Network(nn.Module, ABC):
    """A map from inputs (and context) to features, with one batch axis: `[N, *in] -> [N, out_features]`."""

    out_features: int

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor: ...

    if TYPE_CHECKING:  # a module returns Any

        def __call__(self, x: Tensor, context: Tensor | None = None) -> Tensor: ...


@register("network/linear")
@final
class Linear(Network):
    """One affine map: W x + b. Event dimensions are flattened; context is appended to them."""

    def __init__(self, in_features: int, out_features: int, context: int = 0) -> None:
        super().__init__()
        self.out_features = out_features
        self.layer = nn.Linear(in_features + context, out_features)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.layer(with_context(x, context))
        return out


@register("network/mlp")
@final
class MLP(Network):
    """Affine maps with an activation between them.

    Parameters
    ----------
    in_features, out_features
        Sizes of the flattened input and of the output.
    hidden
        Sizes of the hidden layers.
    activation
        Name of the activation after each hidden layer.
    context
        Number of context features appended to the input.
    init
        Initial weights and biases: `torch` (both uniform, up to 1 / sqrt(inputs)) or `glorot` (weights uniform, up to
        sqrt(6 / (inputs + outputs)), biases zero).

    References
    ----------
    Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 16.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Widths | int = (512,),
        activation: str = "relu",
        context: int = 0,
        init: str = "torch",
    ) -> None:
        super().__init__()
        if init not in get_args(Start):
            raise unknown("initial weights of an mlp", init, get_args(Start))
        self.out_features = out_features
        sizes = layer_sizes(in_features + context, hidden)
        layers: list[nn.Module] = []
        for wide, narrow in pairwise(sizes):
            layers += [nn.Linear(wide, narrow), _activation(activation)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], out_features))
        if init == "glorot":
            for layer in self.layers:
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
                    nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = with_context(x, context)
        for layer in self.layers:
            h = layer(h)
        return h


@register("network/gated-mlp")
@final
class GatedMLP(Network):
    """Hidden layers h = (W x + b) * sigmoid(V x + c), then an affine map.

    References
    ----------
    Dauphin et al. (2017), Language modeling with gated convolutional networks, eq. 1; as used by Tomczak and
    Welling (2018), VAE with a VampPrior, section 5.
    """

    def __init__(
        self, in_features: int, out_features: int, hidden: Widths | int = (300, 300), context: int = 0
    ) -> None:
        super().__init__()
        self.out_features = out_features
        sizes = layer_sizes(in_features + context, hidden)
        # One matrix makes both halves: value and gate.
        self.gated = nn.ModuleList(nn.Linear(wide, 2 * narrow) for wide, narrow in pairwise(sizes))
        self.last = nn.Linear(sizes[-1], out_features)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        h = with_context(x, context)
        for layer in self.gated:
            h = nn.functional.glu(layer(h), dim=-1)
        out: Tensor = self.last(h)
        return out


def apply(network: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    """Call a network of ours or of the user's own; a module that knows no context is called without one."""
    features: Tensor = network(x) if context is None else network(x, context)
    return features


def apply_folded(network: nn.Module, features: Tensor, context: Tensor | None = None) -> Tensor:
    """A network over features [..., F] and context [..., C] with any leading dimensions, which it sees as one."""
    leading = features.shape[:-1]
    if context is not None:
        leading = (features[..., 0] + context[..., 0]).shape
        context = context.expand(*leading, -1).reshape(-1, context.shape[-1])
    flat = features.expand(*leading, -1).reshape(-1, features.shape[-1])
    return apply(network, flat, context).reshape(*leading, -1)


_activation = activation  # the constructor argument of the same name hides it inside MLP


def layer_sizes(first: int, hidden: Sequence[int] | int) -> list[int]:
    """The input size and those of the hidden layers, refused where one is below 1."""
    if isinstance(hidden, int):  # a part string knows no list of one
        hidden = (hidden,)
    if first < 1 or any(size < 1 for size in hidden):
        raise ConfigError(
            f"layer sizes must be 1 or more, but {[first, *hidden]} was asked for; use e.g. --hidden 512,256"
        )
    return [first, *hidden]


def with_context(x: Tensor, context: Tensor | None) -> Tensor:
    """Features [N, *] flattened, with the context appended to them."""
    flat = x.flatten(1)
    return flat if context is None else torch.cat([flat, context], -1)
