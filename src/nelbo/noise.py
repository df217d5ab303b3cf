"""Random numbers of one's own: torch's global state is left as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["apart", "mixed_seed", "own_noise"]


@contextmanager
def apart(device: torch.device | None = None) -> Iterator[None]:
    """What is drawn or seeded inside, on the CPU and on a CUDA device (the current one), leaves no trace outside."""
    current = torch.device("cuda") if device is None and torch.cuda.is_available() else device
    with torch.random.fork_rng(devices=[current] if current is not None and current.type == "cuda" else []):
        yield


@contextmanager
def own_noise(seed: int = 0, device: torch.device | None = None) -> Iterator[None]:
    """Inside, torch draws what the seed decides, the same each time; outside, nothing has happened."""
    with apart(device):
        torch.manual_seed(seed)
        yield


def mixed_seed(seed: int, *streams: int) -> int:
    """A seed of 63 bits for a stream of a seed, mixed so that near seeds and streams give unlike numbers."""
    mixed = np.random.SeedSequence((seed % 2**64, *streams)).generate_state(1, np.uint64)
    return int(mixed[0] >> np.uint64(1))
