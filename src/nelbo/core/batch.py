"""What a batch is: B data with everything that belongs to the same rows."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

__all__ = ["Batch", "sum_cells"]


@dataclass(frozen=True, eq=False)
class Batch:
    """B data, in their own units, with everything that belongs to the same rows."""

    x: Tensor  # [B, *event]  the data, in its own units
    x_in: Tensor | None = None  # what the posterior reads (corrupted, scaled, NaN for a hole); None = x
    mask: Tensor | None = None  # [B, *cells]  True = observed
    context: Tensor | None = None  # [B, C]  conditioned on
    label: Tensor | None = None  # [B]  modelled, -1 = missing
    log_jacobian: Tensor | None = None  # broadcasts to [B, *cells]
    index: Tensor | None = None  # [B]  row numbers in the data set

    @property
    def inputs(self) -> Tensor:
        """What the posterior reads: `x_in` where given, else `x`."""
        return self.x if self.x_in is None else self.x_in

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on `device`."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items() if value is not None})

    def __getitem__(self, rows: slice) -> Batch:
        """A contiguous part of the rows."""
        jacobian = self.log_jacobian
        broadcasts = jacobian is not None and (jacobian.dim() < self.x.dim() or len(jacobian) == 1)
        whole = {"log_jacobian"} if broadcasts else set()
        parts = {n: value[rows] for n, value in vars(self).items() if value is not None and n not in whole}
        return replace(self, **parts)


def sum_cells(log_prob: Tensor, batch: Batch, cell_dims: int) -> Tensor:
    """Sum elementwise log-densities `[K, B, *cells]` to `[K, B]`: add the log-Jacobian, drop missing cells."""
    if batch.log_jacobian is not None:
        log_prob = log_prob + batch.log_jacobian
    if batch.mask is not None:
        log_prob = torch.where(batch.mask, log_prob, 0.0)
    return log_prob.flatten(-cell_dims).sum(-1)
