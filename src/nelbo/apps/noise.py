"""Random numbers of a seed, without a trace in torch's global state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["own_noise"]


@contextmanager
def own_noise(seed: int, stream: int = 0) -> Iterator[None]:
    """Inside, torch draws on the CPU what (seed, stream) decide; outside, nothing has happened."""
    mixed = np.random.SeedSequence((seed % 2**64, stream)).generate_state(1, np.uint64)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(mixed[0] >> np.uint64(1)))  # torch.manual_seed would seed CUDA too
        yield
