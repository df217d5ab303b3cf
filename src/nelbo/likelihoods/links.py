"""From what a network emits to the parameters of a distribution: links with soft limits.

limit tanh(raw / limit) is close to `raw` near 0, stays within +-limit, and has a gradient everywhere: no output of a
network, however large, makes a likelihood overflow.
"""

from __future__ import annotations

import torch
from torch import Tensor

FARTHEST = 20.0  # a factor of 5e8
STEEPEST = 10.0  # a concentration of 22,000, or of 1 in 22,000


def log_mean(raw: Tensor, scale: Tensor) -> Tensor:
    """The logarithm of a positive mean, within +-20 of log(scale)."""
    return _limited(raw, FARTHEST) + scale.log()


def logit_mean(raw: Tensor) -> Tensor:
    """The logit of a mean between 0 and 1, within +-20."""
    return _limited(raw, FARTHEST)


def log_concentration(raw: Tensor) -> Tensor:
    """The logarithm of a concentration, precision or dispersion, within +-10."""
    return _limited(raw, STEEPEST)


def _limited(raw: Tensor, limit: float) -> Tensor:
    return limit * torch.tanh(raw / limit)
