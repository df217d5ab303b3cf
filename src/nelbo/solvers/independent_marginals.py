"""Independent marginals: the simplest models of the data, fitted on training rows and stored as tensors.

Each keeps numbers of the training rows alone; what follows from the spec (kinds, levels, notes) is worked out again.
Rows x are `[N, *event]` of any number type, D values each; a log-probability is `[N]` float64, in nats.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, final

import torch
import torch.nn.functional as F
from torch import Tensor

from nelbo.data.spec import DataSpec, Kind
from nelbo.errors import DataError
from nelbo.solvers.rows import row_chunks, row_mean
from nelbo.solvers.stored_parameters import not_the_baselines, positive, real, whole, within

__all__ = [
    "CODES",
    "ByColumn",
    "Gaussian",
    "Histogram",
    "LogNormal",
    "Marginals",
    "NegativeBinomial",
    "cells",
    "is_dequantised",
    "marginals_of",
]

CODES = frozenset({Kind.BINARY, Kind.BYTE, Kind.LEVELS, Kind.CATEGORICAL, Kind.ORDINAL})


class Marginals(ABC):
    """Independent dimensions: log p(x) = sum over d of log p_d(x_d).

    Attributes
    ----------
    is_density
        Whether p is a density, to which the log-Jacobian of the rows' transform is added.
    """

    is_density: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def fit(cls, train: Tensor, spec: DataSpec) -> Self:
        """The parameters of every dimension from the training rows."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """log p of every row, [N]."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """The parameters by name, float64 or int64."""

    @classmethod
    @abstractmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], spec: DataSpec) -> Self:
        """What `tensors` gave; a StorageError if these cannot have come from there with such a spec."""

    @property
    @abstractmethod
    def note(self) -> str:
        """How they were fitted, for the reader of a figure."""


def marginals_of(spec: DataSpec) -> type[Marginals]:
    """The class that suits the data.

    Dequantised values get the mass of their cells: a uniform density on a cell of width 1 is its mass.
    """
    if spec.kind is Kind.MIXED:
        return ByColumn
    if spec.kind in CODES or (is_dequantised(spec) and spec.levels is not None):
        return Histogram
    if spec.kind is Kind.COUNT or is_dequantised(spec):
        return NegativeBinomial
    return Gaussian


@final
@dataclass(frozen=True, eq=False)
class Histogram(Marginals):
    """log of (count + 1) / (N + L) of each value's level, for N training rows and L levels.

    L is what the spec declares. Where it declares none, L is one more than the highest value among the training rows
    and the scored rows together: a level that only the latter have has a count of 0.
    """

    counts: Tensor  # [D, W] int64, W the largest number of levels
    spec: DataSpec

    @classmethod
    def fit(cls, train: Tensor, spec: DataSpec) -> Self:
        levels = _checked_levels(train, spec)
        width = int(levels.max())
        places = torch.arange(len(levels)) * width
        counts = torch.zeros(len(levels) * width, dtype=torch.int64)
        for rows in row_chunks(train):
            counts += torch.bincount((cells(rows, spec).long() + places).flatten(), minlength=len(counts))
        return cls(counts.view(len(levels), width), spec)

    def log_prob(self, x: Tensor) -> Tensor:
        levels = torch.maximum(_checked_levels(x, self.spec), _levels_seen(self.counts))
        counts = F.pad(self.counts, (0, 1)).double()  # [D, W + 1], the last for all levels above those of training
        log_mass = torch.log((counts + 1.0) / (self.counts[0].sum() + levels).double()[:, None])
        last = counts.shape[1] - 1
        places = torch.arange(len(counts)) * counts.shape[1]
        return torch.cat(
            [log_mass.view(-1)[cells(rows, self.spec).long().clamp_max(last) + places].sum(1) for rows in row_chunks(x)]
        )

    def tensors(self) -> dict[str, Tensor]:
        return {"counts": self.counts}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], spec: DataSpec) -> Self:
        declared = _declared_levels(spec)
        counts = whole(tensors, "counts", (spec.dim, None if declared is None else int(declared.max())))
        if counts.shape[1] == 0 or bool((counts.sum(1) != counts[0].sum()).any()) or int(counts[0].sum()) < 1:
            raise not_the_baselines("the counts of its dimensions are not of one number of rows")
        if declared is not None and bool((_levels_seen(counts) > declared).any()):
            raise not_the_baselines("it counts levels that the data do not have")
        return cls(counts, spec)

    @property
    def note(self) -> str:
        return "per dimension the training frequencies, one added to each count"


def _declared_levels(spec: DataSpec) -> Tensor | None:
    """The number of levels of each dimension, [D]; None where the spec leaves it to the data."""
    if spec.kind is Kind.BINARY:
        return torch.full((spec.dim,), 2)
    if spec.levels is not None:
        return torch.full((spec.dim,), spec.levels)
    if spec.columns is not None:
        return torch.tensor([int(column.high) + 1 for column in spec.columns])
    return None


def _levels_seen(counts: Tensor) -> Tensor:
    """One more than the highest level with a count, [D]."""
    return ((counts > 0) * torch.arange(1, counts.shape[1] + 1)).amax(1)


def _checked_levels(x: Tensor, spec: DataSpec) -> Tensor:
    """The number of levels of each dimension, declared or else seen in these rows, [D]; every value is one of them."""
    low, high = (cells(extreme.flatten().cpu().double(), spec) for extreme in (x.amin(0), x.amax(0)))
    declared = _declared_levels(spec)
    levels = high.long() + 1 if declared is None else declared
    if not bool(((low >= 0) & (high < levels)).all()):
        raise DataError(
            f"{spec.name!r} holds values from {low.min():g} to {high.max():g}, outside the levels "
            f"0..{int(levels.max()) - 1} of its spec; load it again, or name its kind with --kind"
        )
    return levels


@final
@dataclass(frozen=True, eq=False)
class NegativeBinomial(Marginals):
    """Counts of mean m and variance v = m + m^2 / r, with r by moments; Poisson(m) where v is not above m.

    log p(x) = log Gamma(x + r) - log Gamma(r) - log x! + r log(r / (r + m)) + x log(m / (r + m))
    """

    mean: Tensor  # [D] float64, above 0
    variance: Tensor  # [D] float64
    spec: DataSpec

    @classmethod
    def fit(cls, train: Tensor, spec: DataSpec) -> Self:
        train = cells(train, spec)
        mean = row_mean(train).clamp_min(0.5 / len(train))  # a count never seen in training is rare, not impossible
        return cls(mean, _squared_deviations(train, mean), spec)

    def log_prob(self, x: Tensor) -> Tensor:
        mean, excess = self.mean, self.variance - self.mean
        overdispersed = excess > 1e-6 * mean
        r = torch.where(overdispersed, mean.square() / excess.where(overdispersed, mean), 1.0)
        odds_negative, odds_positive = torch.log(r / (r + mean)), torch.log(mean / (r + mean))
        sums = []
        for rows in row_chunks(x):
            counts = cells(rows, self.spec)
            poisson = counts * mean.log() - mean
            spread = torch.lgamma(counts + r) - torch.lgamma(r) + r * odds_negative + counts * odds_positive
            sums.append((torch.where(overdispersed, spread, poisson) - torch.lgamma(counts + 1.0)).sum(1))
        return torch.cat(sums)

    def tensors(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "variance": self.variance}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], spec: DataSpec) -> Self:
        variance = real(tensors, "variance", (spec.dim,))
        if bool((variance < 0).any()):
            raise not_the_baselines("a variance is negative")
        return cls(positive(tensors, "mean", (spec.dim,)), variance, spec)

    @property
    def note(self) -> str:
        return "per dimension a negative binomial of the training mean and variance (Poisson where not overdispersed)"


@final
@dataclass(frozen=True, eq=False)
class Gaussian(Marginals):
    """log N(x; m, v) with mean m and variance v of the training rows (divided by N).

    A dimension that is constant in training would have an infinite density: it gets what a single observation at the
    mean variance of the others would leave it, by the same reasoning as the one added to a histogram's counts.
    """

    mean: Tensor  # [D] float64
    variance: Tensor  # [D] float64, above 0
    constant: int  # number of dimensions that are constant in training
    is_density = True

    @classmethod
    def fit(cls, train: Tensor, spec: DataSpec) -> Self:
        mean = row_mean(train)
        variance = _squared_deviations(train, mean)
        constant = variance <= 1e-12 * (variance + mean.square())  # rounding, in float64
        typical = variance[~constant].mean() if bool((~constant).any()) else torch.ones((), dtype=torch.float64)
        return cls(mean, variance.where(~constant, typical / (len(train) + 1)), int(constant.sum()))

    def log_prob(self, x: Tensor) -> Tensor:
        log_scale = -0.5 * float((2.0 * math.pi * self.variance).log().sum())
        return torch.cat(
            [log_scale - 0.5 * ((rows - self.mean).square() / self.variance).sum(1) for rows in row_chunks(x)]
        )

    def tensors(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "variance": self.variance, "constant": torch.tensor(self.constant)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], spec: DataSpec) -> Self:
        constant = int(whole(tensors, "constant", ()))
        if constant > spec.dim:
            raise not_the_baselines(f"{constant} of {spec.dim} dimensions are constant")
        return cls(real(tensors, "mean", (spec.dim,)), positive(tensors, "variance", (spec.dim,)), constant)

    @property
    def note(self) -> str:
        note = "per dimension a Gaussian of the training mean and variance"
        if self.constant:
            note += f"; {self.constant} constant in training, given the mean variance of the others over N + 1"
        return note


@final
@dataclass(frozen=True, eq=False)
class LogNormal(Marginals):
    """log N(log x; m, v) - log x: the density of positive values whose logarithms are Gaussian."""

    logs: Gaussian
    is_density = True

    @classmethod
    def fit(cls, train: Tensor, spec: DataSpec) -> Self:
        return cls(Gaussian.fit(train.double().log(), spec))

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.cat([self.logs.log_prob(logs) - logs.sum(1) for logs in (rows.log() for rows in row_chunks(x))])

    def tensors(self) -> dict[str, Tensor]:
        return self.logs.tensors()

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], spec: DataSpec) -> Self:
        return cls(Gaussian.from_tensors(tensors, spec))

    @property
    def note(self) -> str:
        return "per dimension a log-normal of the training mean and variance of the logarithms"


@final
@dataclass(frozen=True, eq=False)
class ByColumn(Marginals):
    """A mixed table: the columns of each kind by what suits that kind, positive ones by a log-normal.

    The sum is a likelihood under the mixed measure, as the model's own figure is. The columns are in the user's units
    already, so that no log-Jacobian is added to the whole.
    """

    parts: Mapping[Kind, Marginals]
    spec: DataSpec

    @classmethod
    def fit(cls, train: Tensor, spec: DataSpec) -> Self:
        parts = {}
        for kind, places in _places(spec).items():
            own = _columns(spec, kind, places)
            parts[kind] = _marginals_of_columns(own).fit(train[:, places], own)
        return cls(parts, spec)

    def log_prob(self, x: Tensor) -> Tensor:
        total = torch.zeros(len(x), dtype=torch.float64)
        for kind, places in _places(self.spec).items():
            total += self.parts[kind].log_prob(x[:, places])
        return total

    def tensors(self) -> dict[str, Tensor]:
        return {
            f"{kind.value}.{name}": tensor
            for kind, part in self.parts.items()
            for name, tensor in part.tensors().items()
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], spec: DataSpec) -> Self:
        parts = {}
        for kind, places in _places(spec).items():
            own = _columns(spec, kind, places)
            parts[kind] = _marginals_of_columns(own).from_tensors(within(tensors, kind.value), own)
        return cls(parts, spec)

    @property
    def note(self) -> str:
        return (
            "per column, by its kind: the training frequencies, one added to each count; a negative binomial, a "
            "Gaussian or (positive columns) a log-normal of the training moments"
        )


def _places(spec: DataSpec) -> dict[Kind, list[int]]:
    """Where the columns of each kind stand, in the order of the kinds' names."""
    columns = spec.columns or ()
    kinds = sorted({column.kind for column in columns})
    return {kind: [place for place, column in enumerate(columns) if column.kind is kind] for kind in kinds}


def _columns(spec: DataSpec, kind: Kind, places: list[int]) -> DataSpec:
    """The spec of a table of some of the columns, all of one kind."""
    columns = tuple((spec.columns or ())[place] for place in places)
    return spec.model_copy(update={"kind": kind, "columns": columns, "event_shape": (len(places),)})


def _marginals_of_columns(own: DataSpec) -> type[Marginals]:
    return LogNormal if own.kind is Kind.POSITIVE else marginals_of(own)


def is_dequantised(spec: DataSpec) -> bool:
    """Whether the rows are integers plus uniform noise."""
    return spec.transform.split(":")[0] == "dequantize"


def cells(x: Tensor, spec: DataSpec) -> Tensor:
    """The integers behind dequantised values, and other values as they are."""
    return x.floor() if is_dequantised(spec) and x.is_floating_point() else x


def _squared_deviations(x: Tensor, mean: Tensor) -> Tensor:
    """Mean squared deviation of each dimension from `mean`, [D]."""
    return torch.stack([(rows - mean).square().sum(0) for rows in row_chunks(x)]).sum(0) / len(x)
