"""Data through the model and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast, final

import numpy as np
import torch
from torch import Tensor

from nelbo.apps.images import stacks, to_unit
from nelbo.apps.save import Result, cell_names
from nelbo.core import Batch
from nelbo.data import Data
from nelbo.data.raw import Array, Codes
from nelbo.data.sources import Source
from nelbo.data.spec import DataSpec
from nelbo.errors import ConfigError
from nelbo.noise import mixed_seed, own_noise
from nelbo.runs.fitted import Fitted, row_numbers
from nelbo.train.job import threads

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
    draws: Array | None = None  # [N, K, *event]  at draws of the posterior

    def __len__(self) -> int:
        return len(self.row)

    def first(self, n: int) -> Reconstructions:
        """The first n rows."""
        draws = None if self.draws is None else self.draws[:n]
        return replace(
            self, original=self.original[:n], reconstruction=self.reconstruction[:n], row=self.row[:n], draws=draws
        )

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
        drawn = {} if self.draws is None else {"draws": self.draws}
        return {"reconstruction": self.reconstruction, "original": self.original, "row": self.row, **drawn}

    def columns(self) -> Mapping[str, Array]:
        """Each column beside its reconstruction, and beside those at draws of the posterior."""
        found: dict[str, Array] = {"row": self.row}
        flat = self.original.reshape(len(self), -1).T, self.reconstruction.reshape(len(self), -1).T
        for name, original, made in zip(cell_names(self.spec), *flat, strict=True):
            found |= {name: original, f"{name}_reconstruction": made}
        for number, draw in enumerate(() if self.draws is None else np.moveaxis(self.draws, 1, 0), 1):
            cells = zip(cell_names(self.spec), draw.reshape(len(self), -1).T, strict=True)
            found |= {f"{name}_draw{number}": values for name, values in cells}
        return found

    def picture(self) -> bytes | None:
        """Every original above its reconstruction, and above those at draws of the posterior."""
        if self.spec.layout != "image":
            return None
        below = [self.reconstruction, *(() if self.draws is None else np.moveaxis(self.draws, 1, 0))]
        return stacks([to_unit(values, self.spec, self.low, self.high) for values in (self.original, *below)])

    def _residual(self) -> Array:
        return cast(Array, self.original.astype(np.float64) - self.reconstruction)


@torch.inference_mode()
def reconstruct(
    fitted: Fitted, data: Data | Source, rows: Tensor | None = None, *, draws: int = 0, seed: int = 0
) -> Reconstructions:
    """The mean of p(x given z) at the one code of each row, or at draws of its posterior, in the user's units.

    It comes back through the inverse of the data's transform (where the likelihood sees log x, it is the median).
    Originals are the user's values; a model of binarised data has seen them in black and white only.

    Parameters
    ----------
    data
        Anything that `nelbo.load_data` reads: a path, an array, a frame.
    rows
        Row numbers, all by default.
    draws
        Draws of z ~ q(z given x) a row, K, each decoded beside the one code: how far reconstructions differ is how
        little the code is known.
    seed
        Of the draws; torch's global random state is left alone.

    Raises
    ------
    ConfigError
        If `draws` is negative.
    DataError
        If the data are not like those that the model was trained on.
    """
    if draws < 0:
        raise ConfigError(f"--draws {draws} is no number of draws; give 1 or more, or leave it out")
    data = fitted.read(data)
    rows = row_numbers(data, rows)
    made, drawn, model = [], [], fitted.model
    with threads(fitted.about.threads), own_noise(mixed_seed(seed, 0)):
        for batch in fitted.batches(data, rows).fixed():
            made.append(fitted.transform.inverse(model.decode(model.point(batch), batch.context).mean).cpu())
            if draws:
                drawn.append(_decoded_draws(fitted, batch, draws))
    return Reconstructions(
        data.x[rows].numpy(),
        torch.cat(made).numpy(),
        rows.numpy(),
        data.spec,
        fitted.about.low,
        fitted.about.high,
        torch.cat(drawn).numpy() if drawn else None,
    )


def _decoded_draws(fitted: Fitted, batch: Batch, draws: int) -> Tensor:
    """The mean of p(x given z) at draws of q(z given x), [B, K, *event]."""
    z = fitted.model.encode(batch).sample(torch.Size((draws,)))
    context = None if batch.context is None else batch.context.repeat(draws, 1)
    x = fitted.transform.inverse(fitted.model.decode(z.flatten(0, 1), context).mean).cpu()
    return x.view(draws, len(batch), *x.shape[1:]).transpose(0, 1)
