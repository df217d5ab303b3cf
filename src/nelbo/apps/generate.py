"""New data from the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch

from nelbo.apps.images import grid, to_unit
from nelbo.apps.noise import own_noise
from nelbo.apps.save import Result, cell_names
from nelbo.core import Model
from nelbo.data.raw import Array
from nelbo.data.spec import DataSpec
from nelbo.errors import ConfigError
from nelbo.train.job import Job, threads

__all__ = ["Samples", "sample"]

CHUNK = 500  # rows decoded together


@final
@dataclass(frozen=True, eq=False)
class Samples(Result):
    """N new rows in the units of the data."""

    values: Array  # [N, *event]
    spec: DataSpec  # of the data as the user has them
    low: float  # range of the data, for pictures
    high: float

    @classmethod
    def of(cls, job: Job, values: Array) -> Samples:
        """Values with what is known of the data they resemble."""
        return cls(values, job.data.spec, float(job.data.x.min()), float(job.data.x.max()))

    def arrays(self) -> Mapping[str, Array]:
        return {"x": self.values}

    def columns(self) -> Mapping[str, Array]:
        return dict(zip(cell_names(self.spec), self.values.reshape(len(self.values), -1).T, strict=True))

    def picture(self) -> bytes | None:
        if self.spec.layout != "image":
            return None
        return grid(to_unit(self.values, self.spec, self.low, self.high))


@torch.inference_mode()
def sample(job: Job, model: Model, n: int, *, seed: int = 0, draw: bool = False) -> Array:
    """N new rows [N, *event] in the units of the user's data: z ~ p(z), then x from p(x given z).

    Parameters
    ----------
    n
        Rows.
    seed
        Decides z, the same with and without `draw`; torch's global random state is left alone.
    draw
        By default x is the mean of p(x given z), brought back through the inverse of the data's transform (where the
        likelihood sees log x, that is the median). With `draw` it is a draw of p(x given z), noise and all: a legal
        value of the data's kind.

    Raises
    ------
    ConfigError
        If `n` is below 1.
    """
    if n < 1:
        raise ConfigError(f"-n {n} asks for no samples; give 1 or more")
    parts = []
    with threads(job.settings.threads):
        for chunk, start in enumerate(range(0, n, CHUNK)):
            with own_noise(seed, chunk):
                px = model.sample(min(CHUNK, n - start))
                parts.append(job.transform.inverse(px.sample() if draw else px.mean))
    values = torch.cat(parts).cpu()
    whole = draw and job.data.x.dtype == torch.uint8 and job.transform.name != "density"
    return values.to(torch.uint8).numpy() if whole else values.numpy().astype(np.float32)
