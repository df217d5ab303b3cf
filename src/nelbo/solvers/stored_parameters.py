"""Named tensors read back from a file, each checked before it is believed: type, shape, range."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nelbo.errors import StorageError

__all__ = ["not_the_baselines", "positive", "real", "whole", "within"]

Shape = tuple[int | None, ...]  # None being any size
MOST = 1 << 40  # a number of rows that no file has, and whose sums do not overflow


def within(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """The tensors of a part, by their names within it."""
    return {name.removeprefix(f"{part}."): t for name, t in tensors.items() if name.startswith(f"{part}.")}


def not_the_baselines(problem: str) -> StorageError:
    """The error for tensors that no fitted baselines of this spec can have given."""
    return StorageError(f"the file does not hold the baselines of this model ({problem}); restore it from a copy")


def real(tensors: Mapping[str, Tensor], name: str, shape: Shape) -> Tensor:
    """Finite float64 numbers."""
    tensor = _stored(tensors, name, torch.float64, shape)
    if not bool(torch.isfinite(tensor).all()):
        raise not_the_baselines(f"{name} is not finite")
    return tensor


def positive(tensors: Mapping[str, Tensor], name: str, shape: Shape) -> Tensor:
    """Finite float64 numbers above 0."""
    tensor = real(tensors, name, shape)
    if not bool((tensor > 0).all()):
        raise not_the_baselines(f"{name} is not above 0")
    return tensor


def whole(tensors: Mapping[str, Tensor], name: str, shape: Shape) -> Tensor:
    """Numbers of rows or of dimensions."""
    tensor = _stored(tensors, name, torch.int64, shape)
    if bool(((tensor < 0) | (tensor > MOST)).any()):
        raise not_the_baselines(f"{name} is below 0 or too large")
    return tensor


def _stored(tensors: Mapping[str, Tensor], name: str, dtype: torch.dtype, shape: Shape) -> Tensor:
    """A tensor of that type and shape, None being any size."""
    tensor = tensors.get(name)
    if tensor is None:
        raise not_the_baselines(f"{name} is missing")
    if tensor.dtype != dtype:
        raise not_the_baselines(f"{name} is of {tensor.dtype}, not {dtype}")
    fits = len(tensor.shape) == len(shape)
    if not fits or any(size not in (None, own) for own, size in zip(tensor.shape, shape, strict=True)):
        raise not_the_baselines(f"{name} is of shape {list(tensor.shape)}")
    return tensor.detach().cpu()
