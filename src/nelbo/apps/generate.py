"""New data from the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from nelbo.apps.images import grid, to_unit
from nelbo.apps.save import Result, cell_names
from nelbo.data import one_hot
from nelbo.data.raw import Array
from nelbo.data.spec import DataSpec
from nelbo.errors import ConfigError, unknown
from nelbo.noise import mixed_seed, own_noise
from nelbo.runs.fitted import Fitted
from nelbo.train.job import threads

__all__ = ["Samples", "sample"]

CHUNK = 500  # rows decoded together
MOST_SIDE_BY_SIDE = 20  # classes, one a column of a picture


@final
@dataclass(frozen=True, eq=False)
class Samples(Result):
    """N new rows in the units of the data."""

    values: Array  # [N, *event]
    spec: DataSpec  # of the data as the user has them
    low: float  # range of the data, for pictures
    high: float
    label: tuple[str, ...] | None = None  # [N]  what each was given, where the model is conditioned on the label
    side_by_side: int | None = None  # columns of a picture

    @classmethod
    def of(cls, fitted: Fitted, values: Array, label: str | None = None) -> Samples:
        """Values with what is known of the data they resemble; `label` as `sample` was given it."""
        spec, codes = fitted.raw, labels_in_turn(fitted.spec, len(values), label)
        low, high = fitted.about.low, fitted.about.high
        if codes is None:
            return cls(values, spec, low, high)
        names = spec.label_names or ()
        across = len(names) if label is None and len(names) <= MOST_SIDE_BY_SIDE else None
        return cls(values, spec, low, high, tuple(names[code] for code in codes.tolist()), across)

    def arrays(self) -> Mapping[str, Array]:
        labels = {} if self.label is None else {"label": np.array(self.label, dtype=np.str_)}
        return {"x": self.values, **labels}

    def columns(self) -> Mapping[str, Array]:
        """The label first, where there is one; then the columns of the data."""
        labels = {} if self.label is None else {"label": np.array(self.label, dtype=np.str_)}
        return {**labels, **dict(zip(cell_names(self.spec), self.values.reshape(len(self.values), -1).T, strict=True))}

    def picture(self) -> bytes | None:
        if self.spec.layout != "image":
            return None
        return grid(to_unit(self.values, self.spec, self.low, self.high), self.side_by_side)


@torch.inference_mode()
def sample(fitted: Fitted, n: int, *, seed: int = 0, draw: bool = False, label: str | None = None) -> Array:
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
    label
        The label to condition on; all of them in turn by default, where the model is conditioned on the label.

    Raises
    ------
    ConfigError
        If `n` is below 1, or there is no such label, or the model reads none.
    """
    if n < 1:
        raise ConfigError(f"-n {n} asks for no samples; give 1 or more")
    parts, codes, model = [], labels_in_turn(fitted.spec, n, label), fitted.model
    contexts = None if codes is None else one_hot(codes, fitted.spec.context)
    with threads(fitted.about.threads):
        for chunk, start in enumerate(range(0, n, CHUNK)):
            with own_noise(mixed_seed(seed, chunk)):
                if contexts is None:
                    px = model.sample(min(CHUNK, n - start))
                else:
                    px = model.sample(1, contexts[start : start + CHUNK])
                parts.append(fitted.transform.inverse(px.sample() if draw else px.mean))
    values = torch.cat(parts).cpu()
    whole = draw and fitted.about.stored_as == "uint8" and fitted.transform.name != "density"
    return values.to(torch.uint8).numpy() if whole else values.numpy().astype(np.float32)


def labels_in_turn(spec: DataSpec, n: int, label: str | None = None) -> Tensor | None:
    """The classes [N] that samples are given: 0, 1, ..., C - 1, 0, ..., or one; None where the model reads no label.

    Raises
    ------
    ConfigError
        If there is no such label, or the model reads none.
    """
    if not spec.context:
        if label is not None:
            raise ConfigError(
                f"--label {label} asks for samples of a class, but the run was trained without labels; train one with "
                "--condition label"
            )
        return None
    names = spec.label_names or ()
    if label is None:
        return torch.arange(n) % len(names)
    if label not in names:
        raise unknown("label", label, names)
    return torch.full((n,), names.index(label))
