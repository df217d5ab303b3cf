"""The spec after a transform, with the scaling that a network sees, fitted on the training rows alone."""

from __future__ import annotations

import torch
from torch import Tensor

from nelbo.data.sources import Data
from nelbo.data.spec import DataSpec, Kind, Scaling
from nelbo.data.splits import Split
from nelbo.data.transforms import Log1p, Transform
from nelbo.errors import CompositionError, ConfigError, unknown

__all__ = ["SCALINGS", "fit_spec"]

SCALINGS = ("auto", "none", "unit", "standardise", "log1p")
CHUNK = 1 << 22  # values transformed together
UNSCALED = frozenset({Kind.BINARY, Kind.UNIT})


def fit_spec(data: Data, split: Split, transform: Transform, scaling: str = "auto") -> DataSpec:
    """The spec of the transformed data, complete with scaling.

    `auto`: levels are divided to lie between 0 and 1, binary and unit data stay, all else is standardised by mean
    and standard deviation of the training rows (of each column of a table, of all pixels of images together).
    `unit` divides by the range: (L - 1) for levels, else (x - min) / (max - min) of the training rows. `log1p`, for
    counts: as `auto`, but an encoder reads log(1 + x), standardised likewise, whatever the likelihood scores.

    Raises
    ------
    ConfigError
        If `scaling` is none of these.
    CompositionError
        If `log1p` is asked for data that are no counts.
    """
    if scaling not in SCALINGS:
        raise unknown("scaling", scaling, SCALINGS, ConfigError)
    spec = transform.spec(data.spec)
    if scaling == "log1p":
        return _reading_logarithms(data, split, transform)
    by_levels = spec.scaling.name == "unit"
    if scaling == "none":
        chosen, reason = Scaling(), "a network sees the values as they are"
    elif by_levels and scaling in ("auto", "unit"):
        chosen, reason = spec.scaling, f"a network sees the values divided by {spec.scaling.scale:g}"
    elif scaling == "auto" and spec.kind in UNSCALED:
        chosen, reason = Scaling(), "a network sees the values as they are"
    else:
        method = "unit" if scaling == "unit" else "standardise"
        chosen, reason = _fitted(data, split, transform, method, each=spec.layout == "table")
    update = {"rows": len(split.train), "scaling": chosen, "reasons": (*spec.reasons, reason)}
    return spec.model_copy(update=update)


def _reading_logarithms(data: Data, split: Split, transform: Transform) -> DataSpec:
    spec = fit_spec(data, split, transform)
    if spec.kind is not Kind.COUNT:
        what = spec.kind.value if spec.transform == "none" else f"{spec.kind.value} after --transform {spec.transform}"
        raise CompositionError(
            f"--scaling log1p is for networks that read counts, but {spec.name!r} is {what}; leave --scaling out"
        )
    reading, _ = _fitted(data, split, Log1p(), "standardise", each=spec.layout == "table")
    reason = "an encoder reads log(1 + x), standardised by the training rows"
    return spec.model_copy(update={"reading": reading, "reasons": (*spec.reasons, reason)})


def _fitted(data: Data, split: Split, transform: Transform, method: str, each: bool) -> tuple[Scaling, str]:
    mean, deviation, low, high = _moments(data, split.train, transform, each)
    if method == "unit":
        shift, scale = low, high - low
        reason = "a network sees the values moved to 0..1 by the range of the training rows"
    else:
        shift, scale = mean, deviation
        of = "each column" if each else "all pixels"
        reason = f"a network sees the values standardised by mean and standard deviation of {of} of the training rows"
    scale = torch.where(scale > torch.finfo(torch.float32).eps * shift.abs(), scale, 1.0)
    name = "unit" if method == "unit" else "standardise"
    if not each:
        return Scaling(shift=float(shift), scale=float(scale), name=name), reason
    return Scaling(shift=tuple(shift.tolist()), scale=tuple(scale.tolist()), name=name), reason


def _moments(data: Data, rows: Tensor, transform: Transform, each: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean, standard deviation (1/N), minimum and maximum, in float64, some rows at a time.

    A transform that draws noise draws it from a generator of its own, so that the result is always the same.
    """
    generator = torch.Generator().manual_seed(0)
    step = max(1, CHUNK // max(1, data.spec.dim))
    count, mean, square = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    low, high = torch.tensor(torch.inf, dtype=torch.float64), torch.tensor(-torch.inf, dtype=torch.float64)
    for part in torch.split(rows, step):
        values = transform(data.x.index_select(0, part), generator)[0].double()
        values = values.flatten(1) if each else values.reshape(-1, 1).squeeze(1)
        size = values.shape[0]
        new = values.mean(0)
        shift = new - mean
        square = square + (values - new).square().sum(0) + shift.square() * (count * size / (count + size))
        mean = mean + shift * (size / (count + size))
        count += size
        low, high = torch.minimum(low, values.amin(0)), torch.maximum(high, values.amax(0))
    return mean, (square / count).sqrt(), low, high
