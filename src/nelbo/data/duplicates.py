"""Exact copies of rows on both sides of a split."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["copies", "row_codes"]

CHUNK = 1 << 22  # 64-bit words looked at together
WORD = 8

Words = npt.NDArray[np.uint64]


def row_codes(x: Tensor) -> Tensor:
    """One code for each row [N], equal for equal rows, by a 128-bit hash (two 64-bit sums of mixed words).

    Two different rows share a code with a probability of about 2^-128; zero and minus zero are equal.
    """
    rows = np.ascontiguousarray(x.reshape(x.shape[0], -1).numpy())
    if rows.dtype.kind == "f":
        rows = rows + rows.dtype.type(0)
    text = rows.view(np.uint8)
    width = -(-text.shape[1] // WORD)
    random = np.random.default_rng(0)
    salts = [random.integers(1, 1 << 63, width, dtype=np.uint64) for _ in range(2)]
    hashes = np.empty((len(rows), 2), np.uint64)
    step = max(1, CHUNK // width)
    for start in range(0, len(rows), step):
        block = text[start : start + step]
        padded = np.pad(block, ((0, 0), (0, width * WORD - block.shape[1]))).view(np.uint64)
        for side, salt in enumerate(salts):
            hashes[start : start + step, side] = _mix(padded ^ salt).sum(1, dtype=np.uint64)
    pairs = hashes.view([("a", np.uint64), ("b", np.uint64)]).reshape(-1)
    return torch.from_numpy(np.unique(pairs, return_inverse=True)[1].astype(np.int64))


def copies(codes: Tensor, part: Tensor, of: Tensor) -> int:
    """How many rows of `part` are exact copies of a row of `of`."""
    seen = torch.zeros(int(codes.max()) + 1, dtype=torch.bool)
    seen[codes[of]] = True
    return int(seen[codes[part]].sum())


def _mix(words: Words) -> Words:
    """A bijection of 64-bit words that spreads every bit (the finaliser of SplitMix64, Steele et al. 2014)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
