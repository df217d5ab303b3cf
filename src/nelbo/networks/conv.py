"""The convolutional encoder and the transposed-convolutional decoder, for images of any size from 8x8 to 128x128.

Both are stacks of (batch norm, convolution, dropout) triples with an activation after each convolution. Each encoder
triple halves the image (rounding down); the decoder retraces the same sizes upwards, its output padding making up
for what the halving rounded away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from nelbo.arguments import Widths
from nelbo.networks.mlp import Network, with_context
from nelbo.networks.mlp import activation as _activation
from nelbo.networks.pyramid import image_pyramid
from nelbo.networks.triples import narrowing, widening
from nelbo.registry import register


@register("network/conv-encoder")
@final
class ConvEncoder(Network):
    """Convolutions that halve an image of 8x8 to 128x128, and transposed ones that double it back.

    The encoder: triples, then one affine map of the flattened last map and the context.

    Parameters
    ----------
    shape
        (channels, height, width) of the image.
    out_features
        Size of the output.
    channels
        Channels after each triple; by default 32, 64, 128, ... (at most 128) down to a map of 4 to 7 pixels.
    dropout
        Share of each convolution's outputs dropped in training.
    """

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        channels: Widths | int | None = None,
        dropout: float = 0.0,
        activation: str = "relu",
        context: int = 0,
    ) -> None:
        super().__init__()
        self.out_features = out_features
        pyramid = image_pyramid(shape, channels)
        self.triples = narrowing(pyramid, activation, dropout)
        self.head = nn.Linear(math.prod(pyramid.top) + context, out_features)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.head(with_context(self.triples(x), context))
        return out


@register("network/conv-decoder")
@final
class ConvDecoder(Network):
    """Features to one or more images (`parameters` of them): an affine map, then transposed triples.

    The output is flattened in the order (parameter, channel, height, width).
    """

    def __init__(
        self,
        in_features: int,
        shape: Sequence[int],
        parameters: int = 1,
        channels: Widths | int | None = None,
        dropout: float = 0.0,
        activation: str = "relu",
        context: int = 0,
    ) -> None:
        super().__init__()
        pyramid = image_pyramid(shape, channels)
        self.out_features = parameters * math.prod(shape)
        self.start = pyramid.top
        self.head = nn.Sequential(nn.Linear(in_features + context, math.prod(self.start)), _activation(activation))
        self.triples = widening(pyramid, parameters, activation, dropout)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.triples(self.head(with_context(x, context)).unflatten(1, self.start)).flatten(1)
        return out
