"""Labels, groups and factors: any numbers or text to codes 0, 1, ... with -1 for missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np

from nelbo.data.raw import Array, Codes
from nelbo.data.spec import Factor
from nelbo.errors import DataError

__all__ = ["MISSING", "are_classes", "encode_factors", "encode_groups", "encode_labels"]

MISSING = ("", "?", "NA", "N/A", "na", "n/a", "nan", "NaN", "NAN", "null", "NULL", "None")


def are_classes(values: Array) -> bool:
    """Whether these can be class labels: one-dimensional text, booleans or whole numbers (NaN is missing)."""
    if values.ndim != 1 or values.dtype.kind not in "biufU":
        return False
    if values.dtype.kind != "f":
        return True
    known = values[~np.isnan(values)]
    return bool(np.isfinite(known).all() and (known == np.floor(known)).all())


def encode_labels(values: Array, rows: int, what: str) -> tuple[Codes, tuple[str, ...]]:
    """Codes [N] in the order of the sorted values, and the name of each code.

    Empty text, `?`, `NA`, NaN and, unless the labels are -1 and +1, the number -1 mean missing: code -1.

    Raises
    ------
    DataError
        If there is not one label for each row, or the labels are not classes.
    """
    values = np.asarray(values)
    if values.ndim != 1 or values.shape[0] != rows:
        shape = " x ".join(map(str, values.shape))
        raise DataError(f"{what} must have one label for each of the {rows} rows, but its shape is {shape}")
    if not are_classes(values):
        raise DataError(f"{what} does not hold classes (text or whole numbers); use --label with one that does")
    missing = _missing(values)
    if missing.all():
        raise DataError(f"{what} holds only missing labels; use --label with one that is filled, or leave it out")
    known = values[~missing]
    if known.dtype.kind == "f":
        known = known.astype(np.int64)
    classes, inverse = np.unique(known, return_inverse=True)
    codes = np.full(rows, -1, np.int64)
    codes[~missing] = inverse
    return codes, tuple(str(each) for each in classes.tolist())


def encode_groups(values: Array, rows: int, what: str) -> Codes:
    """Codes [N] of the groups; every distinct value, of any type, is a group."""
    values = np.asarray(values)
    if values.ndim != 1 or values.shape[0] != rows or values.dtype.kind not in "biufU":
        raise DataError(f"{what} must hold one number or word for each of the {rows} rows; use another --group")
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def encode_factors(found: Mapping[str, Array], rows: int) -> tuple[Codes, tuple[Factor, ...]]:
    """Codes [N, F] in the order of each factor's values, -1 where missing, and what each factor is.

    Raises
    ------
    DataError
        If a factor does not hold one number or word for each row.
    """
    codes = np.full((rows, len(found)), -1, np.int64)
    factors = []
    for place, (name, each) in enumerate(found.items()):
        values = np.asarray(each)
        if values.shape != (rows,) or values.dtype.kind not in "biufU":
            shape = " x ".join(map(str, values.shape))
            raise DataError(
                f"factor {name!r} must hold one number or word for each of the {rows} rows, but its shape is {shape} "
                f"and its type {values.dtype}; mend or rename it"
            )
        is_text = values.dtype.kind == "U"
        known = ~(np.isin(values, MISSING) if is_text else np.isnan(values.astype(np.float64)))
        distinct, codes[known, place] = np.unique(values[known], return_inverse=True)
        factors.append(Factor(name=name, distinct=len(distinct), ordered=not is_text))
    return codes, tuple(factors)


def _missing(values: Array) -> Array:
    if values.dtype.kind == "U":
        return np.isin(values, MISSING)
    if values.dtype.kind == "b":
        return np.zeros(values.shape, np.bool_)
    unknown = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
    signs = bool(np.isin(values[~unknown], (-1, 1)).all())
    return cast(Array, unknown if signs else unknown | (values == -1))
