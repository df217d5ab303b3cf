"""Data as latent codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from nelbo.apps.save import Result
from nelbo.data import Data
from nelbo.data.raw import Array
from nelbo.data.raw import Codes as Integers
from nelbo.data.sources import Source
from nelbo.errors import ConfigError
from nelbo.noise import mixed_seed, own_noise
from nelbo.runs.fitted import Fitted, row_numbers
from nelbo.train.job import threads

__all__ = ["Codes", "encode"]


@final
@dataclass(frozen=True, eq=False)
class Codes(Result):
    """q(z given x) of N rows in D latent dimensions."""

    mean: Array  # [N, D]  the one code of each row
    row: Integers  # [N]  row numbers in the data set
    spread: Array | None = None  # [N, D]  standard deviation
    draws: Array | None = None  # [N, K, D]
    label: Integers | None = None  # [N]  -1 = missing
    label_names: tuple[str, ...] = ()

    def arrays(self) -> Mapping[str, Array]:
        """`mean`, `row` and, where there are any, `spread`, `draws`, `label` and `label_names`."""
        names = np.array(self.label_names, dtype=np.str_) if self.label is not None else None
        found = {
            "mean": self.mean,
            "row": self.row,
            "spread": self.spread,
            "draws": self.draws,
            "label": self.label,
            "label_names": names,
        }
        return {name: values for name, values in found.items() if values is not None}

    def columns(self) -> Mapping[str, Array]:
        """`row`, `label`, then z1, z2, ..., sigma1, ..., draw1_z1, ..."""
        found: dict[str, Array] = {"row": self.row}
        if self.label is not None:
            found["label"] = np.array([*self.label_names, ""])[self.label]  # code -1 is the last: empty
        found |= _numbered("z", self.mean)
        if self.spread is not None:
            found |= _numbered("sigma", self.spread)
        if self.draws is not None:
            for number, draw in enumerate(np.moveaxis(self.draws, 1, 0), 1):
                found |= _numbered(f"draw{number}_z", draw)
        return found

    def picture(self) -> bytes | None:
        return None


@torch.inference_mode()
def encode(
    fitted: Fitted,
    data: Data | Source,
    rows: Tensor | None = None,
    *,
    spread: bool = False,
    draws: int = 0,
    seed: int = 0,
) -> Codes:
    """The code of each row (the posterior mean, for most models) and, where asked for, the spread and draws of z.

    Parameters
    ----------
    data
        Anything that `nelbo.load_data` reads: a path, an array, a frame.
    rows
        Row numbers, all by default.
    spread
        Whether the standard deviation of q(z given x) is wanted.
    draws
        Draws of z ~ q(z given x) a row, K.
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
    means, sigmas, drawn = [], [], []
    model = fitted.model
    with threads(fitted.about.threads), own_noise(mixed_seed(seed, 0)):
        for batch in fitted.batches(data, rows).fixed():
            means.append(model.point(batch).cpu())
            if not spread and not draws:
                continue
            q = model.encode(batch)
            if spread:
                sigmas.append(q.stddev.cpu())
            if draws:
                drawn.append(q.sample(torch.Size((draws,))).transpose(0, 1).cpu())
    return Codes(
        mean=torch.cat(means).numpy(),
        row=rows.numpy(),
        spread=torch.cat(sigmas).numpy() if sigmas else None,
        draws=torch.cat(drawn).numpy() if drawn else None,
        label=None if data.label is None else data.label[rows].numpy(),
        label_names=data.spec.label_names or (),
    )


def _numbered(name: str, values: Array) -> dict[str, Array]:
    return {f"{name}{number}": column for number, column in enumerate(values.T, 1)}
