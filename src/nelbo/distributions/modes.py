"""Modes that are found by trial."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributions import Distribution


def likeliest(px: Distribution, candidates: Sequence[Tensor]) -> Tensor:
    """Cell by cell the candidate of the highest log p, the first of them where several have it."""
    tried = torch.stack(tuple(candidates))
    best = px.log_prob(tried).argmax(0, keepdim=True)
    return tried.gather(0, best).squeeze(0)
