"""Pictures of a model while it is trained: reconstructions and samples, as the report shows them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import final

import numpy as np
from PIL.Image import Image

from nelbo.core import Model
from nelbo.errors import ConfigError
from nelbo.report.pictures import Display, columns_for, grid
from nelbo.report.views import Views
from nelbo.train.images import Painter
from nelbo.train.job import Job

__all__ = ["Gallery"]

ROWS, SAMPLES = 12, 48


@final
class Gallery(Painter):
    """Held-out images above their reconstructions, and means of p(x given z) at draws of z from the prior.

    Rows and draws of z are the same each time, so that pictures of one training can be laid side by side.

    Raises
    ------
    ConfigError
        If the data are no images.
    """

    def __init__(self, job: Job) -> None:
        if job.data.spec.layout != "image":
            raise ConfigError(
                f"--images-every draws images, but {job.data.spec.name!r} holds none; leave it out for these data"
            )
        self._job = job
        self._display = Display(job.data)

    def __call__(self, model: Model) -> Mapping[str, Image]:
        views = Views(copy.deepcopy(model).cpu().eval(), self._job)
        part = "validation" if len(self._job.split.validation) else "train"
        seen, made = views.reconstruct(views.some_rows(part, ROWS))
        pairs = np.concatenate([self._display.thumbnails(seen), self._display.thumbnails(made)])
        samples = self._display.thumbnails(views.sample(SAMPLES)[0])
        return {
            "reconstructions": grid(pairs, len(pairs) // 2),
            "samples": grid(samples, columns_for(samples)),
        }
