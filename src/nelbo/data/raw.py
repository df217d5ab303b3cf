"""What a reader hands over before anything is inferred."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import numpy.typing as npt

from nelbo.data.spec import Kind, Layout

__all__ = ["Array", "Codes", "Raw"]

Array = npt.NDArray[Any]  # any numeric dtype: bytes stay bytes until a batch is made
Codes = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, eq=False)
class Raw:
    """Rows as read: images channel first, tables with named columns, labels not yet coded."""

    values: Array  # [N, *event]
    layout: Layout
    name: str
    names: tuple[str, ...] | None = None  # of columns
    label: Array | None = None  # [N], numbers or text
    label_names: tuple[str, ...] | None = None  # given: then `label` holds codes already
    group: Array | None = None  # [N], numbers or text
    factors: Mapping[str, Array] = field(default_factory=dict)  # name -> [N], numbers or text
    official: Mapping[str, Codes] = field(default_factory=dict)
    kind: Kind | None = None  # known beforehand
    reasons: tuple[str, ...] = ()
