"""Stacks of (batch norm, convolution, dropout) triples with an activation after each convolution, in any dimension."""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from nelbo.networks.mlp import activation
from nelbo.networks.pyramid import Pyramid

__all__ = ["narrowing", "widening"]

# By the number of dimensions beside the channels.
_NORM: dict[int, type[nn.BatchNorm1d | nn.BatchNorm2d]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
_DOWN: dict[int, type[nn.Conv1d | nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}


def narrowing(pyramid: Pyramid, activated_by: str, dropout: float) -> nn.Sequential:
    """From the foot of a pyramid to its top: each convolution halves every side, rounding down."""
    rank = len(pyramid.sizes[0])
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(pyramid.channels):
        layers += [
            _NORM[rank](wide),
            _DOWN[rank](wide, narrow, kernel_size=4, stride=2, padding=1),
            activation(activated_by),
            nn.Dropout(dropout),
        ]
    return nn.Sequential(*layers)


def widening(pyramid: Pyramid, parameters: int, activated_by: str, dropout: float) -> nn.Sequential:
    """From the top to the foot, `parameters` times; output padding makes up for what the halving rounded away."""
    channels = (parameters * pyramid.channels[0], *pyramid.channels[1:])
    layers: list[nn.Module] = []
    steps = list(zip(pairwise(reversed(channels)), pairwise(reversed(pyramid.sizes)), strict=True))
    for i, ((wide, narrow), (small, large)) in enumerate(steps):
        layers += [_NORM[len(small)](wide), _double(wide, narrow, small, large)]
        if i < len(steps) - 1:  # the last convolution emits distribution parameters, untouched
            layers += [activation(activated_by), nn.Dropout(dropout)]
    return nn.Sequential(*layers)


def _double(wide: int, narrow: int, small: tuple[int, ...], large: tuple[int, ...]) -> nn.Module:
    padding = [after - 2 * before for before, after in zip(small, large, strict=True)]
    if len(padding) == 1:
        return nn.ConvTranspose1d(wide, narrow, 4, stride=2, padding=1, output_padding=padding[0])
    return nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, output_padding=(padding[0], padding[1]))
