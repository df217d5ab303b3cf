"""Pre-activation residual blocks: a sum of what comes in and what a few layers make of it; here for vectors."""

from __future__ import annotations

from itertools import pairwise
from typing import final

from torch import Tensor, nn

from nelbo.arguments import Count, Widths
from nelbo.errors import ConfigError
from nelbo.networks.mlp import Network, layer_sizes, with_context
from nelbo.networks.mlp import activation as _activation
from nelbo.registry import register


@final
class Residual(nn.Module):
    """y = shortcut(x) + layers(x); He et al. (2016), arXiv:1603.05027, eq. 3 where the shortcut is the identity.

    The first of the layers is a norm, never an activation: one that works in place would write into the shortcut.
    """

    def __init__(self, layers: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.layers = layers
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.layers(x)
        return out


@register("network/residual-mlp")
@final
class ResidualMLP(Network):
    r"""Blocks h + V a(N(U a(N(h)))) of layer norm N and activation a, between two affine maps.

    h_0 = W x + b has the first hidden size; each hidden size makes `blocks` blocks of that width. A block that
    changes the width has a linear shortcut, all others the identity. The last map reads a(N(h)).

    Parameters
    ----------
    in_features, out_features
        Sizes of the flattened input and of the output.
    hidden
        Widths, 2 or more: the layer norm of a single unit is constant.
    blocks
        Residual blocks of each width.
    dropout
        Share of the units within a block dropped in training.
    context
        Number of context features appended to the input.

    Raises
    ------
    ConfigError
        If there is no hidden size, one below 2, or no block.

    References
    ----------
    He et al. (2016), Identity mappings in deep residual networks, arXiv:1603.05027, eq. 3 and figure 4e, with the
    layer norm of Ba et al. (2016), arXiv:1607.06450, which does not couple the rows of a batch.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden: Widths | int = (512,),
        blocks: Count = 1,
        activation: str = "relu",
        dropout: float = 0.0,
        context: int = 0,
    ) -> None:
        super().__init__()
        sizes = layer_sizes(in_features + context, hidden)
        if len(sizes) < 2 or min(sizes[1:]) < 2 or blocks < 1:
            raise ConfigError(
                f"a residual MLP needs hidden sizes of 2 or more and 1 block or more, but {sizes[1:]} and {blocks} "
                "were given; use e.g. --hidden 256,256 --network residual-mlp:blocks=2"
            )
        self.out_features = out_features
        self.first = nn.Linear(sizes[0], sizes[1])
        widths = [sizes[1], *(size for size in sizes[1:] for _ in range(blocks))]
        self.blocks = nn.Sequential(
            *(
                Residual(
                    nn.Sequential(
                        nn.LayerNorm(before),
                        _activation(activation),
                        nn.Linear(before, after),
                        nn.LayerNorm(after),
                        _activation(activation),
                        nn.Dropout(dropout),
                        nn.Linear(after, after),
                    ),
                    nn.Identity() if before == after else nn.Linear(before, after, bias=False),
                )
                for before, after in pairwise(widths)
            )
        )
        self.last = nn.Sequential(nn.LayerNorm(sizes[-1]), _activation(activation), nn.Linear(sizes[-1], out_features))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.last(self.blocks(self.first(with_context(x, context))))
        return out
