"""The precision in which a network's outputs become parameters of a distribution."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(features: Tensor) -> Tensor:
    """Distribution parameters in float32 or better, also under autocast (log q - log p is off by 0.2 nats in bf16)."""
    return features.float() if features.dtype in {torch.bfloat16, torch.float16} else features
