"""Residual encoder and decoder for images of any size from 8x8 to 128x128.

Each block of the encoder that leads to another scale halves the image (rounding down); the decoder retraces the same
sizes upwards by repeating pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import final

from torch import Tensor, nn

from nelbo.arguments import Count, Widths
from nelbo.errors import ConfigError
from nelbo.networks.mlp import Network, with_context
from nelbo.networks.mlp import activation as _activation
from nelbo.networks.pyramid import image_pyramid
from nelbo.networks.residual import Residual
from nelbo.registry import register

IN_GROUP, MOST_GROUPS = 4, 8  # channels that a group holds at least, groups


@register("network/resnet-encoder")
@final
class ResNetEncoder(Network):
    """Pre-activation residual blocks that halve an image of 8x8 to 128x128, and others that double it back.

    A block is x' + C2 a(N(C1 a(N(x)))) with group norm N, activation a and 3x3 convolutions; where it halves the
    image, C1 is 4x4 with a stride of 2, and x' is the mean of each 2x2 pixels, mapped to the new channels. One affine
    map reads the last, flattened a(N(x)) and the context.

    Parameters
    ----------
    shape
        (channels, height, width) of the image.
    out_features
        Size of the output.
    channels
        Channels after each halving; by default 32, 64, 128, ... (at most 128) down to a map of 4 to 7 pixels.
    blocks
        Blocks of each scale, the first of which halves the image.
    dropout
        Share of each block's inner values dropped in training.

    References
    ----------
    He et al. (2016), Identity mappings in deep residual networks, arXiv:1603.05027, figure 4e, with the group norm of
    Wu and He (2018), arXiv:1803.08494, which does not couple the images of a batch.
    """

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        channels: Widths | int | None = None,
        blocks: Count = 1,
        dropout: float = 0.0,
        activation: str = "relu",
        context: int = 0,
    ) -> None:
        super().__init__()
        _check(blocks)
        self.out_features = out_features
        pyramid = image_pyramid(shape, channels)
        colours, *widths = pyramid.channels
        layers: list[nn.Module] = [nn.Conv2d(colours, widths[0], kernel_size=3, padding=1)]
        for before, after in pairwise([widths[0], *widths]):
            halve = nn.Conv2d(before, after, kernel_size=4, stride=2, padding=1)
            shortcut = nn.Sequential(nn.AvgPool2d(2), _map(before, after))
            layers.append(_block(before, nn.Identity(), halve, shortcut, activation, dropout))
            layers += [_same(after, activation, dropout) for _ in range(blocks - 1)]
        self.layers = nn.Sequential(*layers, _norm(widths[-1]), _activation(activation))
        self.head = nn.Linear(math.prod(pyramid.top) + context, out_features)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.head(with_context(self.layers(x), context))
        return out


@register("network/resnet-decoder")
@final
class ResNetDecoder(Network):
    """Features to one or more images (`parameters` of them): an affine map, then blocks that double the image.

    A block that doubles repeats the pixels before C1 and in its shortcut. The output is flattened in the order
    (parameter, channel, height, width).
    """

    def __init__(
        self,
        in_features: int,
        shape: Sequence[int],
        parameters: int = 1,
        channels: Widths | int | None = None,
        blocks: Count = 1,
        dropout: float = 0.0,
        activation: str = "relu",
        context: int = 0,
    ) -> None:
        super().__init__()
        _check(blocks)
        self.out_features = parameters * math.prod(shape)
        pyramid = image_pyramid(shape, channels)
        colours, *widths = pyramid.channels
        self.start = pyramid.top
        self.head = nn.Linear(in_features + context, math.prod(self.start))
        layers: list[nn.Module] = []
        steps = zip(pairwise([*reversed(widths), widths[0]]), list(reversed(pyramid.sizes))[1:], strict=True)
        for (before, after), size in steps:
            layers += [_same(before, activation, dropout) for _ in range(blocks - 1)]
            wider = nn.Conv2d(before, after, kernel_size=3, padding=1)
            shortcut = nn.Sequential(nn.Upsample(size), _map(before, after))
            layers.append(_block(before, nn.Upsample(size), wider, shortcut, activation, dropout))
        last = nn.Conv2d(widths[0], parameters * colours, kernel_size=3, padding=1)
        self.layers = nn.Sequential(*layers, _norm(widths[0]), _activation(activation), last)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.layers(self.head(with_context(x, context)).unflatten(1, self.start)).flatten(1)
        return out


def _same(channels: int, activation: str, dropout: float) -> Residual:
    """A block that keeps size and channels."""
    first = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
    return _block(channels, nn.Identity(), first, nn.Identity(), activation, dropout)


def _block(
    channels: int, resize: nn.Module, first: nn.Conv2d, shortcut: nn.Module, activation: str, dropout: float
) -> Residual:
    after = first.out_channels
    layers = nn.Sequential(
        _norm(channels),
        _activation(activation),
        resize,
        first,
        _norm(after),
        _activation(activation),
        nn.Dropout(dropout),
        nn.Conv2d(after, after, kernel_size=3, padding=1),
    )
    return Residual(layers, shortcut)


def _map(before: int, after: int) -> nn.Module:
    return nn.Identity() if before == after else nn.Conv2d(before, after, kernel_size=1, bias=False)


def _norm(channels: int) -> nn.GroupNorm:
    """Groups of 4 channels or more: on a map of one pixel the norm of a single channel would be constant."""
    return nn.GroupNorm(max(1, math.gcd(channels, IN_GROUP * MOST_GROUPS) // IN_GROUP), channels)


def _check(blocks: int) -> None:
    if blocks < 1:
        raise ConfigError(
            f"a residual network needs 1 block a scale or more, but {blocks} was given; use e.g. blocks=1"
        )
