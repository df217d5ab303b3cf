"""The convolutional encoder and decoder for series: the triples of the image networks along one axis, time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from nelbo.arguments import Widths
from nelbo.networks.mlp import Network, with_context
from nelbo.networks.mlp import activation as _activation
from nelbo.networks.pyramid import series_pyramid
from nelbo.networks.triples import narrowing, widening
from nelbo.registry import register


@register("network/conv-1d-encoder")
@final
class Conv1dEncoder(Network):
    """Convolutions that halve a series of 8 steps or more, and transposed ones that double it back.

    The encoder: triples, then one affine map of the flattened last map and the context. The same weights read every
    step, so that what a series shows early and late is treated alike.

    Parameters
    ----------
    shape
        (time,) or (channels, time).
    out_features
        Size of the output.
    channels
        Channels after each triple; by default 32, 64, 128, ... (at most 128) down to 4 to 7 steps.
    dropout
        Share of each convolution's outputs dropped in training.

    References
    ----------
    Waibel et al. (1989), Phoneme recognition using time-delay neural networks, section 2.
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
        pyramid = series_pyramid(shape, channels)
        self.foot = (pyramid.channels[0], *pyramid.sizes[0])
        self.triples = narrowing(pyramid, activation, dropout)
        self.head = nn.Linear(math.prod(pyramid.top) + context, out_features)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.head(with_context(self.triples(x.reshape(-1, *self.foot)), context))
        return out


@register("network/conv-1d-decoder")
@final
class Conv1dDecoder(Network):
    """Features to one or more series (`parameters` of them): an affine map, then transposed triples.

    The output is flattened in the order (parameter, channel, time).
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
        pyramid = series_pyramid(shape, channels)
        self.out_features = parameters * math.prod(shape)
        self.start = pyramid.top
        self.head = nn.Sequential(nn.Linear(in_features + context, math.prod(self.start)), _activation(activation))
        self.triples = widening(pyramid, parameters, activation, dropout)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.triples(self.head(with_context(x, context)).unflatten(1, self.start)).flatten(1)
        return out
