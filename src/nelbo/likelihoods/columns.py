"""Which likelihood each column of a table takes: by its kind, or by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, final

from nelbo.data.spec import Column, Kind
from nelbo.errors import CompositionError, ConfigError, unknown
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.registry import lookup, registered

__all__ = ["Group", "grouped"]

BYTES = 256
DEFAULTS: Mapping[Kind, str] = {
    Kind.BINARY: "bernoulli",
    Kind.BYTE: "discretized-logistic",
    Kind.LEVELS: "categorical",
    Kind.UNIT: "continuous-bernoulli",
    Kind.REAL: "gaussian:sigma=dimension",
    Kind.POSITIVE: "log-normal",
    Kind.COUNT: "negative-binomial",
    Kind.CATEGORICAL: "categorical",
    Kind.ORDINAL: "ordinal",
}
WITH_LEVELS = frozenset({Kind.LEVELS, Kind.CATEGORICAL, Kind.ORDINAL})


@final
@dataclass(frozen=True)
class Group:
    """Columns that share a likelihood and a number of levels."""

    part: str  # a part string
    levels: int | None  # of the whole table: a level that only held-out rows have is one of them
    bounded: bool  # fractions, whose support no scaling may move
    places: tuple[int, ...]


def grouped(columns: Sequence[Column], asked: Mapping[str, Any]) -> list[Group]:
    """The columns by the likelihood they take: the one asked for by name, else the default of their kind.

    Parameters
    ----------
    asked
        Likelihood -> the column or columns it is for: the options of `mixed:ordinal=grade+stars`.

    Raises
    ------
    ConfigError
        For an unknown likelihood or column, or a column that is named twice.
    CompositionError
        If a likelihood does not fit the column's kind; the message names those that do.
    """
    chosen = _chosen(columns, asked)
    groups: dict[tuple[str, int | None, bool], list[int]] = {}
    for place, column in enumerate(columns):
        part = chosen.get(column.name) or DEFAULTS[column.kind]
        groups.setdefault((part, _levels(column), column.kind is Kind.UNIT), []).append(place)
    return [Group(*shared, tuple(places)) for shared, places in groups.items()]


def _levels(column: Column) -> int | None:
    if column.kind is Kind.BYTE:
        return BYTES
    return max(2, int(column.high) + 1) if column.kind in WITH_LEVELS else None


def _chosen(columns: Sequence[Column], asked: Mapping[str, Any]) -> dict[str, str]:
    """The likelihood of every column that was named."""
    by_name = {column.name: column for column in columns}
    chosen: dict[str, str] = {}
    for part, listed in asked.items():
        if not part:
            raise ConfigError(f"mixed:{listed} gives no column its likelihood; write e.g. mixed:ordinal=grade+stars")
        cls = cast("type[Elementwise]", lookup(f"likelihood/{part}"))
        for name in map(str, listed if isinstance(listed, list) else [listed]):
            if name not in by_name:
                raise unknown(f"column in mixed:{part}=...", name, by_name)
            if name in chosen:
                raise ConfigError(f"column {name!r} is given to {chosen[name]!r} and to {part!r}; keep one of them")
            kind = by_name[name].kind
            if kind not in cls.fits:
                raise CompositionError(
                    f"likelihood {part!r} does not fit the column {name!r}, which is {kind.value}; use one of: "
                    f"{', '.join(_fitting(kind))}"
                )
            chosen[name] = part
    return chosen


def _fitting(kind: Kind) -> list[str]:
    return [name for name, cls in registered("likelihood") if kind in cast("type[Elementwise]", cls).fits]
