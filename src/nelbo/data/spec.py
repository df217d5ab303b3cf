"""What the data are: kinds, columns, scaling, and the reference measure of every figure made from them."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Literal, Self, final

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

__all__ = [
    "CONTINUOUS",
    "DISCRETE",
    "ON_DISCRETE",
    "ON_THE_GRID",
    "Column",
    "DataSpec",
    "Factor",
    "Kind",
    "Layout",
    "Scaling",
    "ScalingName",
]

Layout = Literal["image", "table"]
ScalingName = Literal["none", "unit", "standardise"]


@final
class Kind(StrEnum):
    """What values a pixel or a column can take."""

    BINARY = "binary"  # 0 or 1
    BYTE = "byte"  # 0, 1, ..., 255
    LEVELS = "levels"  # 0, 1, ..., L - 1 for a small L
    UNIT = "unit"  # between 0 and 1
    REAL = "real"  # any number
    POSITIVE = "positive"  # above 0
    COUNT = "count"  # 0, 1, 2, ... without a ceiling
    CATEGORICAL = "categorical"  # codes without an order
    ORDINAL = "ordinal"  # codes with an order
    MIXED = "mixed"  # columns, each of a kind of its own; only after --transform by-column


MOST_CELLS = 2**26  # of a row
CONTINUOUS = frozenset({Kind.UNIT, Kind.REAL, Kind.POSITIVE})
ON_THE_GRID = "density on the raw grid, not a probability mass"
DISCRETE = "discrete or constant columns"
ON_DISCRETE = "a density on discrete columns can grow without bound"


@final
class Column(BaseModel):
    """One column of a table."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    kind: Kind
    low: float
    high: float
    distinct: int
    whole: bool = False  # whether every value is an integer


@final
class Factor(BaseModel):
    """A factor of variation: something that the rows are known to differ in, and that no model is told."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    distinct: int  # values
    ordered: bool  # whether its values are numbers, rather than words


@final
class Scaling(BaseModel):
    """How a network sees the data: network value = (x - shift) / scale.

    Numbers hold for every cell; tuples hold one number per flattened event dimension.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    shift: float | tuple[float, ...] = 0.0
    scale: float | tuple[float, ...] = 1.0
    name: ScalingName = "none"

    def shift_tensor(self, event_shape: tuple[int, ...]) -> Tensor:
        """The shift as float32: 0-dimensional for a number, else of the event shape."""
        return _tensor(self.shift, event_shape)

    def scale_tensor(self, event_shape: tuple[int, ...]) -> Tensor:
        """The scale as float32: 0-dimensional for a number, else of the event shape."""
        return _tensor(self.scale, event_shape)


@final
class DataSpec(BaseModel):
    """What one row of the data is, what was done to it, and why.

    `scaling` is how networks see the data; where `reading` is given, encoders read log(1 + x) scaled by that instead.
    `rows` is the number of training rows. `levels` is the number of levels of the raw data; it outlives dequantisation,
    whose bound is on the mass of those levels. `warnings` are words that every figure made from these data must carry.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    event_shape: tuple[Annotated[int, Field(ge=1, le=MOST_CELLS)], ...] = Field(min_length=1, max_length=4)
    kind: Kind
    rows: int | None = None
    levels: int | None = Field(default=None, ge=1, le=MOST_CELLS)
    layout: Layout
    scaling: Scaling = Scaling()
    reading: Scaling | None = None
    columns: tuple[Column, ...] | None = None
    label_names: tuple[str, ...] | None = None
    factors: tuple[Factor, ...] = ()
    condition: Literal["none", "label"] = "none"  # what the model reads beside the data
    transform: str = "none"
    warnings: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _lengths_agree(self) -> Self:
        if self.dim > MOST_CELLS:
            raise ValueError(f"a row of {self.dim:,} values is more than {MOST_CELLS:,}")
        for name, scaling in (("scaling", self.scaling), ("reading", self.reading or Scaling())):
            for field in ("shift", "scale"):
                value = getattr(scaling, field)
                if isinstance(value, tuple) and len(value) != self.dim:
                    raise ValueError(f"{name}.{field} has {len(value)} numbers for {self.dim} event dimensions")
        return self

    @property
    def dim(self) -> int:
        """The number of values in a row."""
        return math.prod(self.event_shape)

    @property
    def context(self) -> int:
        """The number of context features: one a class where the model is conditioned on the label, else 0."""
        return len(self.label_names or ()) if self.condition == "label" else 0

    def explain(self) -> str:
        """What was found and why, one decision a line, for the user to read."""
        size = " x ".join(map(str, self.event_shape))
        row = f"images of {size}" if self.layout == "image" else f"table with {self.dim} columns"
        levels = f" with {self.levels} levels" if self.levels is not None else ""
        lines = [f"{self.name}: {row}, kind {self.kind.value}{levels}"]
        if self.transform != "none":
            lines[0] += f", after {self.transform}"
        lines += [f"  - {reason}" for reason in self.reasons]
        lines += [f"  ! {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def reference_measure(self, density: bool) -> str:
        """What a likelihood on these data is a likelihood of, in one phrase.

        Parameters
        ----------
        density
            Whether the likelihood is a density (Gaussian, logistic, ...) rather than a probability mass.
        """
        if self.kind is Kind.MIXED:
            return self._measure_by_column()
        return self._density_measure() if density else self._mass_measure()

    def _mass_measure(self) -> str:
        cell = "pixel" if self.layout == "image" else "column"
        if self.kind is Kind.BINARY:
            return f"probability mass on {{0, 1}} per {cell}"
        if self.kind is Kind.BYTE:
            return f"probability mass on the 256 byte values per {cell}"
        if self.kind is Kind.COUNT:
            return f"probability mass on the counts 0, 1, 2, ... per {cell}"
        if self.levels is not None:
            return f"probability mass on levels 0..{self.levels - 1} per {cell}"
        return f"probability mass on the rounded values per {cell}"

    def _measure_by_column(self) -> str:
        """Of the default likelihood of each kind, and of every other that fits it."""
        columns = self.columns or ()
        continuous = sum(column.kind in CONTINUOUS for column in columns)
        discrete = len(columns) - continuous
        mass = f"probability mass on {_number(discrete, 'discrete')}" if discrete else ""
        density = f"Lebesgue density in the data's own units on {_number(continuous, 'continuous')}"
        return f"mixed: {mass} times {density}" if discrete and continuous else mass or density

    def _density_measure(self) -> str:
        transform = self.transform.split(":")[0]
        dequantised = transform == "dequantize" or (transform == "logit" and self.levels is not None)
        if dequantised:
            what = "counts" if self.levels is None else f"{self.levels} levels"
            return (
                f"lower bound on the probability mass of the {what}, "
                "through uniform dequantisation (Lebesgue density per raw unit)"
            )
        if transform == "log1p":
            return "Lebesgue density of counts in their own units (not a probability mass)"
        if ON_THE_GRID in self.warnings or self.kind not in CONTINUOUS:
            return "Lebesgue density on the raw grid (not a probability mass)"
        return "Lebesgue density in the data's own units"


def _number(columns: int, what: str) -> str:
    return f"the {what} column" if columns == 1 else f"the {columns} {what} columns"


def _tensor(value: float | tuple[float, ...], event_shape: tuple[int, ...]) -> Tensor:
    tensor = torch.tensor(value, dtype=torch.float32)
    return tensor.reshape(event_shape) if isinstance(value, tuple) else tensor
