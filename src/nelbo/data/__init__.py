"""Data: read them, find out what they are, split, transform and batch them."""

from __future__ import annotations

from nelbo.data.batches import Batches
from nelbo.data.conditioning import conditioned, one_hot
from nelbo.data.datasets import DatasetInfo, catalogue
from nelbo.data.factors import with_factors
from nelbo.data.fit import fit_spec
from nelbo.data.sources import Data, Source, columns_in, has_named_columns, load, names_in
from nelbo.data.spec import Column, DataSpec, Factor, Kind, Scaling
from nelbo.data.splits import Split, evenly, split
from nelbo.data.transforms import (
    Binarize,
    ByColumn,
    Dequantize,
    Log,
    Log1p,
    Logit,
    NoTransform,
    RawDensity,
    Transform,
    transform,
)

__all__ = [
    "Batches",
    "Binarize",
    "ByColumn",
    "Column",
    "Data",
    "DataSpec",
    "DatasetInfo",
    "Dequantize",
    "Factor",
    "Kind",
    "Log",
    "Log1p",
    "Logit",
    "NoTransform",
    "RawDensity",
    "Scaling",
    "Source",
    "Split",
    "Transform",
    "catalogue",
    "columns_in",
    "conditioned",
    "evenly",
    "fit_spec",
    "has_named_columns",
    "load",
    "names_in",
    "one_hot",
    "split",
    "transform",
    "with_factors",
]
