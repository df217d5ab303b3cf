"""The convolutional encoder and the transposed-convolutional decoder, for images of any size from 8x8 to 128x128.

Both are stacks of (batch norm, convolution, dropout) triples with an activation after each convolution. Each encoder
triple halves the image (rounding down); the decoder retraces the same sizes upwards, its output padding making up
for what the halving rounded away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from nelbo.errors import CompositionError
from nelbo.networks.mlp import Network, activation
from nelbo.registry import register

SMALLEST, LARGEST = 8, 128
_activation = activation


@register("network/conv-encoder")
@final
class ConvEncoder(Network):
    """Image to features: triples, then one affine map of the flattened last map and the context.

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
        channels: Sequence[int] | None = None,
        dropout: float = 0.0,
        activation: str = "relu",
        context: int = 0,
    ) -> None:
        super().__init__()
        self.out_features = out_features
        widths, sizes = _plan(shape, channels)
        triples: list[nn.Module] = []
        for wide, narrow in pairwise(widths):
            triples += [
                nn.BatchNorm2d(wide),
                nn.Conv2d(wide, narrow, kernel_size=4, stride=2, padding=1),
                _activation(activation),
                nn.Dropout(dropout),
            ]
        self.triples = nn.Sequential(*triples)
        self.head = nn.Linear(widths[-1] * math.prod(sizes[-1]) + context, out_features)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        features = self.triples(x).flatten(1)
        if context is not None:
            features = torch.cat([features, context], -1)
        out: Tensor = self.head(features)
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
        channels: Sequence[int] | None = None,
        dropout: float = 0.0,
        activation: str = "relu",
        context: int = 0,
    ) -> None:
        super().__init__()
        widths, sizes = _plan(shape, channels)
        self.out_features = parameters * math.prod(shape)
        self.start = (widths[-1], *sizes[-1])
        self.head = nn.Sequential(nn.Linear(in_features + context, math.prod(self.start)), _activation(activation))
        widths[0] *= parameters
        triples: list[nn.Module] = []
        steps = list(zip(pairwise(reversed(widths)), pairwise(reversed(sizes)), strict=True))
        for i, ((wide, narrow), (small, large)) in enumerate(steps):
            padding = (large[0] - 2 * small[0], large[1] - 2 * small[1])
            triples += [
                nn.BatchNorm2d(wide),
                nn.ConvTranspose2d(wide, narrow, kernel_size=4, stride=2, padding=1, output_padding=padding),
            ]
            if i < len(steps) - 1:  # the last convolution emits distribution parameters, untouched
                triples += [_activation(activation), nn.Dropout(dropout)]
        self.triples = nn.Sequential(*triples)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        if context is not None:
            x = torch.cat([x, context], -1)
        out: Tensor = self.triples(self.head(x).unflatten(1, self.start)).flatten(1)
        return out


def _plan(shape: Sequence[int], channels: Sequence[int] | None) -> tuple[list[int], list[tuple[int, int]]]:
    """Channels and image sizes before, between and after the triples."""
    if len(shape) != 3 or shape[0] not in {1, 3} or not all(SMALLEST <= side <= LARGEST for side in shape[1:]):
        raise CompositionError(
            f"the convolutional network needs images of 1 or 3 channels, {SMALLEST}x{SMALLEST} to {LARGEST}x{LARGEST},"
            f" but the data have shape {tuple(shape)}; use --network mlp"
        )
    sizes = [(int(shape[1]), int(shape[2]))]
    depth = int(math.log2(min(sizes[0]) / 4)) if channels is None else len(channels)
    widths = [min(32 * 2**i, 128) for i in range(depth)] if channels is None else list(channels)
    for _ in range(depth):
        sizes.append((sizes[-1][0] // 2, sizes[-1][1] // 2))
    if depth < 1 or min(sizes[-1]) < 1:
        raise CompositionError(
            f"{depth} halvings do not fit an image of {sizes[0][0]}x{sizes[0][1]}; "
            "give fewer channels, e.g. channels=32+64"
        )
    return [int(shape[0]), *widths], sizes
