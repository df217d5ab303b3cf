"""Data through the model and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast, final

import numpy as np
import torch
from torch import Tensor

from nelbo.apps.images import pairs, to_unit
from nelbo.apps.save import Result, cell_names
from nelbo.core import Model
from nelbo.data import Data
from nelbo.data.raw import Array, Codes
from nelbo.data.spec import DataSpec
from nelbo.inputs import batches_of
from nelbo.train.job import Job, threads

__all__ = ["Reconstructions", "reconstruct"]


@final
@dataclass(frozen=True, eq=False)
class Reconstructions(Result):
    """N rows and what the model makes of them, both in the units of the data."""

    original: Array  # [N, *event]
    reconstruction: Array  # [N, *event]
    row: Codes  # [N]  row numbers in the data set
    spec: DataSpec  # of the data as the user has them
    low: float  # range of the data, for pictures
    high: float

    def __len__(self) -> int:
        return len(self.row)

    def first(self, n: int) -> Reconstructions:
        """The first n rows."""
        return replace(
            self, original=self.original[:n], reconstruction=self.reconstruction[:n], row=self.row[:n]
        )  # fmt: skip

    @property
    def squared_error(self) -> Array:
        """Mean over rows of (original - reconstruction)^2, [*event] in float64."""
        return cast(Array, np.square(self._residual()).mean(0))

    @property
    def explained_variance(self) -> float | None:
        """1 - squared error / variance of these rows, summed over dimensions; None where nothing varies."""
        variance = self.original.astype(np.float64).var(0).sum()
        return float(1 - self.squared_error.sum() / variance) if variance > 0 else None

    def arrays(self) -> Mapping[str, Array]:
        return {"reconstruction": self.reconstruction, "original": self.original, "row": self.row}

    def columns(self) -> Mapping[str, Array]:
        """Each column beside its reconstruction."""
        found: dict[str, Array] = {"row": self.row}
        flat = self.original.reshape(len(self), -1).T, self.reconstruction.reshape(len(self), -1).T
        for name, original, made in zip(cell_names(self.spec), *flat, strict=True):
            found |= {name: original, f"{name}_reconstruction": made}
        return found

    def picture(self) -> bytes | None:
        """Every original above its reconstruction."""
        if self.spec.layout != "image":
            return None
        above = to_unit(self.original, self.spec, self.low, self.high)
        return pairs(above, to_unit(self.reconstruction, self.spec, self.low, self.high))

    def _residual(self) -> Array:
        return cast(Array, self.original.astype(np.float64) - self.reconstruction)


@torch.inference_mode()
def reconstruct(job: Job, model: Model, data: Data | None = None, rows: Tensor | None = None) -> Reconstructions:
    """The mean of p(x given z) at the posterior mean of each row, in the units of the user's data.

    It comes back through the inverse of the data's transform (where the likelihood sees log x, it is the median).
    Originals are the user's values; a model of binarised data has seen them in black and white only.

    Parameters
    ----------
    data, rows
        Other data than the job's own; row numbers, all by default.
    """
    data = job.data if data is None else data
    rows = torch.arange(len(data)) if rows is None else rows
    made = []
    with threads(job.settings.threads):
        for batch in batches_of(job, data, rows).fixed():
            z = model.encode(batch).mean
            made.append(job.transform.inverse(model.decode(z, batch.context).mean).cpu())
    return Reconstructions(
        data.x[rows].numpy(),
        torch.cat(made).numpy(),
        rows.numpy(),
        data.spec,
        float(job.data.x.min()),
        float(job.data.x.max()),
    )
