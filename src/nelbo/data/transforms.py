"""Transforms between the user's data and what a likelihood scores, each with its log-Jacobian.

A density of y = f(x) becomes one of x by log p(x) = log p(y) + log abs(dy/dx); the second term is the log-Jacobian
that a batch carries, so that every density is in the units of the user's data.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor

from nelbo.data.infer import on_discrete
from nelbo.data.spec import CONTINUOUS, DISCRETE, ON_DISCRETE, ON_THE_GRID, DataSpec, Kind, Scaling
from nelbo.errors import CompositionError, ConfigError, unknown
from nelbo.registry import parse_part

__all__ = [
    "Binarize",
    "ByColumn",
    "Dequantize",
    "Log",
    "Log1p",
    "Logit",
    "NoTransform",
    "RawDensity",
    "Transform",
    "transform",
]

Transformed = tuple[Tensor, Tensor | None]

GRID = frozenset({Kind.BYTE, Kind.LEVELS})
UNSCALED = Scaling()


class Transform(ABC):
    """A map from raw rows to what a likelihood scores.

    Attributes
    ----------
    name
        The canonical part string, as in ``binarize:mode=dynamic``.
    random
        Whether fresh noise is drawn at each presentation.
    """

    name: str
    random: bool = False

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator) -> Transformed:
        """Raw rows of any dtype to what the likelihood sees and the elementwise log-Jacobian (None for 0).

        Integers become float32, floats keep their precision. The generator is read by random transforms only.
        """

    def log_jacobian(self, y: Tensor) -> Tensor | None:
        """log abs(dy/dx) of values y on the likelihood's side, elementwise (None for 0)."""
        return None

    @abstractmethod
    def inverse(self, x: Tensor) -> Tensor:
        """Values on the likelihood's side back in the user's units."""

    @abstractmethod
    def spec(self, spec: DataSpec) -> DataSpec:
        """The spec of transformed data; scaling that depends on the rows is left to `fit_spec`."""


@final
class NoTransform(Transform):
    """The likelihood sees the data as they are."""

    name = "none"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Transformed:
        return _floats(x), None

    def inverse(self, x: Tensor) -> Tensor:
        return x

    def spec(self, spec: DataSpec) -> DataSpec:
        return spec


@final
class Binarize(Transform):
    """Grey levels to black and white.

    With v = x / (L - 1): `dynamic` draws a fresh x' ~ Bernoulli(v) at each presentation, `threshold` takes v > 1/2.

    Parameters
    ----------
    mode
        ``dynamic`` or ``threshold``.
    levels
        L of the raw data; None for data that lie between 0 and 1 already.
    """

    def __init__(self, mode: str = "dynamic", levels: int | None = 256) -> None:
        if mode not in ("dynamic", "threshold"):
            raise unknown("mode of binarize", mode, ("dynamic", "threshold"))
        self.name = f"binarize:mode={mode}"
        self.random = mode == "dynamic"
        self._top = 1 if levels is None else levels - 1

    def __call__(self, x: Tensor, generator: torch.Generator) -> Transformed:
        share = _floats(x) / self._top
        cut = _uniform(share, generator) if self.random else 0.5
        return (share > cut).to(share.dtype), None

    def inverse(self, x: Tensor) -> Tensor:
        return x * self._top

    def spec(self, spec: DataSpec) -> DataSpec:
        how = "drawn afresh at each presentation" if self.random else "cut at half of the range"
        reason = f"grey levels are binarised, {how}"
        return _changed(spec, self, reason, kind=Kind.BINARY, keep_levels=False, scaling=UNSCALED)


@final
class Dequantize(Transform):
    """y = x + u with u uniform on [0, 1), fresh at each presentation.

    The mean log-density of y is a lower bound on the log-mass of x, since each level has a cell of width 1
    (Theis, van den Oord & Bethge 2016, eq. 6). The log-Jacobian is 0.
    """

    name = "dequantize"
    random = True

    def __init__(self, levels: int | None = 256) -> None:
        self._top = math.inf if levels is None else levels - 1

    def __call__(self, x: Tensor, generator: torch.Generator) -> Transformed:
        return _dequantized(_floats(x), generator), None

    def inverse(self, x: Tensor) -> Tensor:
        return x.floor().clamp(0, self._top)

    def spec(self, spec: DataSpec) -> DataSpec:
        scaling = UNSCALED if spec.levels is None else _unit(spec.levels)
        return _changed(spec, self, "integers are dequantised by uniform noise on [0, 1)", scaling=scaling)


@final
class RawDensity(Transform):
    """Values as they are, scored by a density: an explicit choice, flagged in every figure where they are integers."""

    name = "density"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Transformed:
        return _floats(x), None

    def inverse(self, x: Tensor) -> Tensor:
        return x

    def spec(self, spec: DataSpec) -> DataSpec:
        if spec.kind in CONTINUOUS:
            return _changed(spec, self, "values are scored by a density as they are", scaling=UNSCALED)
        scaling = UNSCALED if spec.levels is None else _unit(spec.levels - 1)
        reason = "integers are scored by a density as they are"
        return _changed(spec, self, reason, warning=ON_THE_GRID, scaling=scaling)


@final
class Log(Transform):
    """y = log x for positive x; the log-Jacobian is -log x."""

    name = "log"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Transformed:
        y = _floats(x).log()
        return y, self.log_jacobian(y)

    def log_jacobian(self, y: Tensor) -> Tensor:
        return -y

    def inverse(self, x: Tensor) -> Tensor:
        return x.exp()

    def spec(self, spec: DataSpec) -> DataSpec:
        return _changed(spec, self, "the likelihood sees log x", scaling=UNSCALED)


@final
class Log1p(Transform):
    """y = log(1 + x) for counts; the log-Jacobian is -log(1 + x). What comes back is the nearest count."""

    name = "log1p"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Transformed:
        y = _floats(x).log1p()
        return y, self.log_jacobian(y)

    def log_jacobian(self, y: Tensor) -> Tensor:
        return -y

    def inverse(self, x: Tensor) -> Tensor:
        return x.expm1().round().clamp(min=0)

    def spec(self, spec: DataSpec) -> DataSpec:
        warning = "density of counts through log(1 + x), not a probability mass"
        return _changed(spec, self, "the likelihood sees log(1 + x)", warning=warning, scaling=UNSCALED)


@final
class Logit(Transform):
    """y = log(u / (1 - u)) with u = s + (1 - 2 s) v, which keeps u off 0 and 1.

    v = x for data between 0 and 1; v = (x + noise) / L for L levels, dequantised first. The log-Jacobian is
    log(1 - 2 s) - log L - log u - log(1 - u), with L = 1 for data between 0 and 1 (Papamakarios, Pavlakou &
    Murray 2017, appendix E).

    Parameters
    ----------
    squeeze
        s above, between 0 and 1/2.
    levels
        L of the raw data; None for data that lie between 0 and 1 already.
    """

    def __init__(self, squeeze: float = 1e-6, levels: int | None = None) -> None:
        if not 0 < squeeze < 0.5:
            raise ConfigError(
                f"squeeze of logit is {squeeze}; give a number between 0 and 0.5, as in logit:squeeze=1e-6"
            )
        self.name = "logit" if squeeze == 1e-6 else f"logit:squeeze={squeeze:g}"
        self.random = levels is not None
        self._squeeze = squeeze
        self._levels = levels

    def __call__(self, x: Tensor, generator: torch.Generator) -> Transformed:
        x = _floats(x)
        v = x if self._levels is None else _dequantized(x, generator) / self._levels
        rest = 1 - 2 * self._squeeze
        y = (self._squeeze + rest * v).log() - (self._squeeze + rest * (1 - v)).log()
        return y, self.log_jacobian(y)

    def log_jacobian(self, y: Tensor) -> Tensor:
        """-log u - log(1 - u) is abs(y) + 2 log(1 + exp(-abs(y)))."""
        size = y.abs()
        return math.log((1 - 2 * self._squeeze) / (self._levels or 1)) + size + 2 * F.softplus(-size)

    def inverse(self, x: Tensor) -> Tensor:
        v = ((x.sigmoid() - self._squeeze) / (1 - 2 * self._squeeze)).clamp(0, 1)
        if self._levels is None:
            return v
        return (v * self._levels).floor().clamp(0, self._levels - 1)

    def spec(self, spec: DataSpec) -> DataSpec:
        first = "" if self._levels is None else " of dequantised levels"
        return _changed(spec, self, f"the likelihood sees the logit{first}", scaling=UNSCALED)


@final
class ByColumn(Transform):
    """Values as they are, read column by column: each keeps the kind that was found for it."""

    name = "by-column"

    def __call__(self, x: Tensor, generator: torch.Generator) -> Transformed:
        return _floats(x), None

    def inverse(self, x: Tensor) -> Tensor:
        return x

    def spec(self, spec: DataSpec) -> DataSpec:
        if spec.columns is None:
            raise CompositionError(
                f"{spec.name!r} has no columns, so that none has a kind of its own; leave out --transform by-column "
                "and --likelihood mixed"
            )
        tally = {kind: sum(column.kind is kind for column in spec.columns) for kind in Kind}
        found = ", ".join(f"{number} {kind.value}" for kind, number in tally.items() if number)
        changed = _changed(
            spec, self, f"each column is scored as what it is: {found}", kind=Kind.MIXED, keep_levels=False,
            scaling=UNSCALED,
        )  # fmt: skip
        still = [c for c in spec.columns if c.kind in CONTINUOUS and (c.whole or c.distinct == 1)]
        others = tuple(word for word in spec.warnings if not word.startswith(ON_DISCRETE))
        reasons = tuple(reason for reason in changed.reasons if not reason.startswith(DISCRETE))
        warnings = (*others, on_discrete(still)) if still else others
        return changed.model_copy(update={"warnings": warnings, "reasons": reasons})


def transform(text: str, spec: DataSpec) -> Transform:
    """The transform written as a part string, for data of this spec.

    Raises
    ------
    ConfigError
        If the name or a setting is unknown.
    CompositionError
        If the transform does not suit the kind of the data; the message names those that do.
    """
    name, written = parse_part(text)
    if name not in _FITS:
        raise unknown("transform", name, _FITS)
    if spec.kind not in _FITS[name]:
        fitting = [each for each, kinds in _FITS.items() if spec.kind in kinds and each != ByColumn.name]
        raise CompositionError(
            f"transform {name!r} does not suit {spec.name!r}, which is {spec.kind.value}; "
            f"for {spec.kind.value} data use one of: {', '.join(fitting)}"
        )
    legal = _SETTINGS.get(name, frozenset())
    settings = {key or next(iter(legal), key): value for key, value in written.items()}  # binarize:dynamic
    for setting in settings:
        if setting not in legal:
            raise unknown(f"setting of transform {name!r}", setting, legal)
    return _BUILD[name](settings, spec.levels)


_BUILD: Mapping[str, Callable[[Mapping[str, Any], int | None], Transform]] = {
    "none": lambda settings, levels: NoTransform(),
    "by-column": lambda settings, levels: ByColumn(),
    "binarize": lambda settings, levels: Binarize(str(settings.get("mode", "dynamic")), levels),
    "dequantize": lambda settings, levels: Dequantize(levels),
    "density": lambda settings, levels: RawDensity(),
    "log": lambda settings, levels: Log(),
    "log1p": lambda settings, levels: Log1p(),
    "logit": lambda settings, levels: Logit(_number(settings.get("squeeze", 1e-6)), levels),
}
_SETTINGS: Mapping[str, frozenset[str]] = {"binarize": frozenset({"mode"}), "logit": frozenset({"squeeze"})}
_FITS: Mapping[str, frozenset[Kind]] = {
    "none": frozenset(Kind),
    "by-column": frozenset(Kind),
    "binarize": GRID | {Kind.UNIT},
    "dequantize": GRID | {Kind.COUNT},
    "density": GRID | {Kind.COUNT, Kind.BINARY, Kind.ORDINAL, Kind.UNIT, Kind.POSITIVE},
    "log": frozenset({Kind.POSITIVE}),
    "log1p": frozenset({Kind.COUNT}),
    "logit": GRID | {Kind.UNIT},
}


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise ConfigError(f"squeeze of logit is {value!r}, not a number; write it as in logit:squeeze=1e-6") from None


def _floats(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.float()


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform noise on [0, 1), drawn where the generator lives."""
    noise = torch.rand(like.shape, generator=generator, device=generator.device, dtype=like.dtype)
    return noise.to(like.device)


def _dequantized(x: Tensor, generator: torch.Generator) -> Tensor:
    """x + u, kept strictly below x + 1: in single precision 255 + 0.9999999 would round to 256."""
    return torch.minimum(x + _uniform(x, generator), torch.nextafter(x + 1, x))


def _unit(scale: float) -> Scaling:
    return Scaling(shift=0.0, scale=float(scale), name="unit")


def _changed(
    spec: DataSpec,
    by: Transform,
    reason: str,
    *,
    scaling: Scaling,
    kind: Kind = Kind.REAL,
    warning: str | None = None,
    keep_levels: bool = True,
) -> DataSpec:
    """`spec` after a transform: a new kind and scaling, one more reason and perhaps a warning."""
    return spec.model_copy(
        update={
            "kind": kind,
            "levels": spec.levels if keep_levels else None,
            "scaling": scaling,
            "transform": by.name,
            "reasons": (*spec.reasons, reason),
            "warnings": spec.warnings if warning is None else (*spec.warnings, warning),
        }
    )
