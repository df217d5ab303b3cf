"""Passing over many rows in double precision without holding them all in it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

CHUNK_CELLS = 1 << 22  # 32 MiB of float64 at a time


def row_chunks(x: Tensor) -> Iterator[Tensor]:
    """The rows of `x` [N, *event] in order, as float64 [n, D] on the CPU, a bounded number of cells at a time."""
    rows = max(1, CHUNK_CELLS // max(1, x.shape[1:].numel()))
    for start in range(0, len(x), rows):
        yield x[start : start + rows].detach().to("cpu", torch.float64).flatten(1)


def row_mean(x: Tensor) -> Tensor:
    """The mean of the rows, [D]."""
    return torch.stack([rows.sum(0) for rows in row_chunks(x)]).sum(0) / len(x)
