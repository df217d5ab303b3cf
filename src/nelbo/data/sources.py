"""Data from a name, a file, a folder, an array or a data frame, with a spec that says what was found."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias, cast, final

import numpy as np
import torch
from torch import Tensor

from nelbo.data.arrays import (
    Sparse,
    from_array,
    from_sparse,
    is_sparse,
    one_by_one,
    read_arrays,
    read_keys,
    read_npy,
    read_npz,
)
from nelbo.data.datasets import NAMES, read_named
from nelbo.data.frames import Frame, as_frame, as_series, frame_columns, read_frame
from nelbo.data.hdf5 import (
    read_h5,
    read_h5_arrays,
    read_h5_names,
    read_h5ad,
    read_h5ad_names,
    read_h5ad_obs,
)
from nelbo.data.images import read_images
from nelbo.data.infer import Inference, infer, parse_kind, some_names
from nelbo.data.labels import encode_factors, encode_groups, encode_labels
from nelbo.data.raw import Array, Raw
from nelbo.data.spec import DataSpec, Factor, Kind, Scaling
from nelbo.data.table import read_columns, read_names, read_table
from nelbo.errors import DataError, HolesError, unknown

if TYPE_CHECKING:
    from narwhals.stable.v2.typing import IntoDataFrame, IntoSeries

__all__ = ["Data", "Source", "columns_in", "has_named_columns", "load", "names_in", "read_beside"]

Rows: TypeAlias = "Array | Tensor | IntoDataFrame | Sparse"
Labels: TypeAlias = "Array | Tensor | IntoSeries | Sequence[object]"
Source: TypeAlias = "str | Path | Rows | tuple[Rows, Labels]"

PAIR = 2
BYTES = 256
MASSES = frozenset({Kind.BINARY, Kind.BYTE, Kind.LEVELS})
TABLES = (".csv", ".tsv", ".txt")
ARCHIVES = (".npz", ".h5", ".hdf5")  # of arrays, each with a name
ANNOTATED = ".h5ad"  # columns with names, and annotations of the rows apart from them
EXTENSIONS = (".npz", ".npy", ".h5", ANNOTATED, *TABLES)
_BESIDE = {
    ".npz": read_arrays,
    ".h5": read_h5_arrays,
    ".hdf5": read_h5_arrays,
    ANNOTATED: read_h5ad_obs,
    **dict.fromkeys(TABLES, read_columns),
}


@final
@dataclass(frozen=True, eq=False)
class Data:
    """N rows in memory, as the user has them, with everything that belongs to them."""

    x: Tensor  # [N, *event]  uint8 for binary, byte and up to 256 levels, else float32; all finite
    label: Tensor | None  # [N]  int64, -1 = missing
    spec: DataSpec
    official: Mapping[str, Tensor] = field(default_factory=lambda: MappingProxyType({}))  # split name to rows
    group: Tensor | None = None  # [N]  int64
    factors: Tensor | None = None  # [N, F]  int64 codes of the factors of variation named in the spec, -1 = missing
    source: str = ""
    sha256: str = ""  # of the rows and labels, the same on every machine
    are_codes: bool = False  # of a fitted model, rather than rows as the user has them

    def __len__(self) -> int:
        return self.x.shape[0]


def load(
    source: Source,
    *,
    label: str | None = None,
    drop: Sequence[str] = (),
    group: str | None = None,
    kind: str | None = None,
    name: str | None = None,
) -> Data:
    """Read data and find out what they are.

    Parameters
    ----------
    source
        A known name (``mnist``), a .npz, .npy, .csv, .h5 or .h5ad file, a folder of images; rows as a NumPy array, a
        torch tensor, a pandas or Polars frame (or another that narwhals reads) or a sparse matrix of SciPy; or a pair
        of rows and labels, matched by their order. A known name wins over a path of the same name; the index of a frame
        is left aside.
    label
        The column (.csv, frame), array (.npz, .h5) or column of ``obs`` (.h5ad) that holds labels; by default the
        array ``y`` of a .npz or .h5 file. The array ``factors`` [N, F] of such a file holds its factors of variation,
        named by the array ``factor_names`` [F].
    drop
        Columns of a table to leave aside.
    group
        The column or array that says which rows belong together.
    kind
        The kind of the values where it is known; else it is inferred.
    name
        A name for the data; by default that of the source.

    Raises
    ------
    DataError
        If the source cannot be read or holds what cannot be modelled; the message says where.
    """
    given = None if kind is None else parse_kind(kind)
    raw = _read(source, label, drop, group)
    _refuse_holes(raw)
    values, rounding = _single(raw.values)
    by = "known of these data" if given is None else "asked for"
    inference = infer(values, raw.layout, raw.names, given or raw.kind, by)
    x = _rows(values, inference)
    codes, names = _labels(raw, x.shape[0])
    factor_codes, factors = encode_factors(raw.factors, x.shape[0])
    spec = DataSpec(
        name=name or raw.name,
        event_shape=tuple(raw.values.shape[1:]),
        kind=inference.kind,
        levels=inference.levels,
        layout=raw.layout,
        scaling=_known_scaling(inference.levels),
        columns=inference.columns,
        label_names=names,
        factors=factors,
        warnings=inference.warnings,
        reasons=(*raw.reasons, *rounding, *inference.reasons, *_known(factors)),
    )
    groups = None if raw.group is None else encode_groups(raw.group, x.shape[0], f"group {group!r}")
    return Data(
        x=x,
        label=codes,
        spec=spec,
        official=MappingProxyType({part: torch.from_numpy(rows) for part, rows in raw.official.items()}),
        group=None if groups is None else torch.from_numpy(groups),
        factors=torch.from_numpy(factor_codes) if factors else None,
        source=_describe(source),
        sha256=digest_rows(x, codes),
    )


def names_in(source: Source) -> tuple[str, ...] | None:
    """All that --label may name: columns of a table or frame, or arrays of a .npz or .h5 file; None if there are none.

    Raises
    ------
    DataError
        If the file or frame cannot be read.
    """
    if not isinstance(source, str | Path):
        frame = None if isinstance(source, tuple) else _frame_in(source)  # a pair has its labels already
        return None if frame is None else frame.names
    path = Path(source).expanduser()
    suffix = path.suffix.lower()
    if str(source) in NAMES or not path.is_file():
        return None
    try:
        if suffix in TABLES:
            return read_names(path)
        if suffix == ANNOTATED:
            return read_h5ad_names(path)[1]
        if suffix in ARCHIVES:
            return read_keys(path) if suffix == ".npz" else read_h5_names(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return None


def read_beside(source: Source, names: Sequence[str]) -> dict[str, Array]:
    """What a file or frame says of its rows, by name, whether a model reads it or it was left aside.

    Parameters
    ----------
    names
        Columns of a table, of a frame or of ``obs`` (.h5ad), or arrays (.npz, .h5), of which one [N, F] gives F
        columns.

    Returns
    -------
    Numbers or text [N] by name.

    Raises
    ------
    DataError
        If the source is no such file or frame, cannot be read, or holds nothing of that name.
    """
    frame = _frame_in(source)
    if frame is not None:
        return frame_columns(frame, names)
    path = Path(source).expanduser() if isinstance(source, str | Path) else None
    if path is None or str(source) in NAMES or not path.is_file() or path.suffix.lower() not in _BESIDE:
        raise DataError(
            f"'{_describe(source)}' has no columns or arrays that {', '.join(names)} could name; give a file with them"
        )
    try:
        found = _BESIDE[path.suffix.lower()](path, names)
    except OSError as error:
        raise _unreadable(path, error) from error
    return {key: column for name, values in found.items() for key, column in one_by_one(name, values).items()}


def columns_in(source: Source) -> tuple[str, ...] | None:
    """The names of the columns of a table, by which other rows are matched to it; None where a source has none.

    Raises
    ------
    DataError
        If the file or frame cannot be read.
    """
    frame = _frame_in(source)
    if frame is not None:
        return frame.names
    if not isinstance(source, str | Path) or not has_named_columns(source) or str(source) in NAMES:
        return None
    path = Path(source).expanduser()
    if not path.is_file():
        return None
    return read_h5ad_names(path)[0] if path.suffix.lower() == ANNOTATED else names_in(source)


def has_named_columns(source: Source) -> bool:
    """Whether this is a data frame, or a file of an ending whose columns have names."""
    if isinstance(source, str | Path):
        return Path(source).suffix.lower() in (*TABLES, ANNOTATED)
    return _frame_in(source) is not None


def _frame_in(source: Source) -> Frame | None:
    """The frame that a source is, or that holds the rows of a pair; None where there is none."""
    rows = source[0] if isinstance(source, tuple) and len(source) == PAIR else source
    return None if isinstance(rows, str | Path | tuple | np.ndarray | Tensor) else as_frame(rows)


def _read(source: Source, label: str | None, drop: Sequence[str], group: str | None) -> Raw:
    if isinstance(source, str) and source in NAMES:
        _refuse_flags(f"data set {source!r}", label, group, drop)
        return read_named(source)
    if isinstance(source, str | Path):
        return _read_path(source, label, drop, group)
    if not isinstance(source, tuple):
        return _read_rows(source, label, drop, group)
    if len(source) != PAIR:
        raise DataError(f"a tuple of {len(source)} was given; give the pair (rows, labels)")
    _refuse_flags("a pair (rows, labels)", label, group, ())
    rows, labels = source
    return replace(_read_rows(rows, None, drop, None), label=_read_labels(labels))


def _read_rows(rows: Rows, label: str | None, drop: Sequence[str], group: str | None) -> Raw:
    """Rows that are in memory."""
    if isinstance(rows, np.ndarray | Tensor):
        _refuse_flags("an array", label, group, ())
        return from_array(rows, "array", "the array", drop)
    if is_sparse(rows):
        _refuse_flags("a sparse matrix", label, group, ())
        return from_sparse(rows, drop)
    frame = as_frame(rows)
    if frame is not None:
        return read_frame(frame, label, group, drop)
    raise DataError(
        f"data cannot be read from a {type(rows).__name__}; give a name, a path, a NumPy array, a torch tensor, "
        "a pandas or Polars frame, a sparse matrix of SciPy, or a pair (rows, labels)"
    )


def _read_labels(labels: Labels) -> Array:
    if isinstance(labels, Tensor):
        return labels.detach().cpu().numpy()
    series = None if isinstance(labels, np.ndarray | list | tuple) else as_series(labels)
    return _as_text(np.asarray(labels)) if series is None else series


def _read_path(source: str | Path, label: str | None, drop: Sequence[str], group: str | None) -> Raw:
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            _refuse_flags(f"folder '{path}'", label, group, drop)
            return read_images(path)
        if not path.exists():
            raise _absent(source)
        suffix = path.suffix.lower()
        if suffix == ".npz":
            return read_npz(path, label, group, drop)
        if suffix == ".npy":
            _refuse_flags(f"'{path}'", label, group, ())
            return read_npy(path, drop)
        if suffix in TABLES:
            return read_table(path, label, group, drop)
        if suffix == ANNOTATED:
            return read_h5ad(path, label, group, drop)
        if suffix in ARCHIVES:
            return read_h5(path, label, group, drop)
    except OSError as error:
        raise _unreadable(path, error) from error
    raise DataError(
        f"'{path}' has the ending {path.suffix or 'of no file type'!r}, which is not read; "
        f"give {', '.join(EXTENSIONS)} or a folder of images"
    )


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"'{path}' cannot be read ({error.strerror or error}); give a path that can")


def _absent(source: str | Path) -> DataError:
    path = Path(source)
    if isinstance(source, Path) or path.suffix or len(path.parts) > 1:
        return DataError(f"there is no file or folder '{path}'; check the path, or name one of: {', '.join(NAMES)}")
    return cast(DataError, unknown("data set or path", str(source), NAMES, DataError))


def _refuse_flags(what: str, label: str | None, group: str | None, drop: Sequence[str]) -> None:
    for flag, value in (("--label", label), ("--group", group), ("--drop", drop[0] if drop else None)):
        if value is not None:
            raise DataError(f"{what} has no column or array that {flag} {value} could name; leave {flag} out")


def _as_text(labels: Array) -> Array:
    """Labels as they are, but a list of words that NumPy keeps as objects as text."""
    if labels.dtype.kind == "O" and all(isinstance(each, str) for each in labels.flat):
        return labels.astype(np.str_)
    return labels


def _refuse_holes(raw: Raw) -> None:
    if raw.values.dtype.kind != "f":
        return
    flat = raw.values.reshape(raw.values.shape[0], -1)
    with np.errstate(over="ignore"):
        bad = ~np.isfinite(flat.astype(np.float32))
    if not bad.any():
        return
    row, place = (int(each) for each in np.argwhere(bad)[0])
    worst = "NaN or infinite values, or ones too large for single precision"
    if raw.layout == "image" or raw.names is None:
        images = int(bad.any(1).sum())
        raise HolesError(
            f"{images} of {len(flat)} images hold {worst} ({int(bad.sum())} pixels in all), the first is image {row} "
            "counting from 0; mend or remove them"
        )
    columns = [raw.names[number] for number in np.flatnonzero(bad.any(0))]
    name = raw.names[place]
    raise HolesError(
        f"columns hold {worst}: {some_names(columns)}; the first is {flat[row, place]} in column {name!r}, row {row} "
        f"counting from 0, of {int(bad[:, place].sum())} in that column; fill them, remove those rows, "
        f"or use --drop {name}",
        columns,
    )


def _single(values: Array) -> tuple[Array, tuple[str, ...]]:
    """The values as they will be used, bytes or float32, and a sentence if integers had to be rounded.

    What follows is inferred from the rounded values: 1e-50 is positive, but in single precision it is 0.
    """
    if values.dtype == np.uint8:
        return values, ()
    single = values.astype(np.float32)
    changed = single != values
    rounded = bool((changed & (values == np.floor(values))).any()) if changed.any() else False
    return single, ("integers beyond 16,777,216 are rounded to single precision",) if rounded else ()


def _rows(values: Array, inference: Inference) -> Tensor:
    """The rows as a contiguous tensor of their own: the user may change the array later."""
    small = inference.kind in MASSES and (inference.levels or PAIR) <= BYTES
    return torch.from_numpy(np.array(values, dtype=np.uint8 if small else np.float32, order="C"))


def _labels(raw: Raw, rows: int) -> tuple[Tensor | None, tuple[str, ...] | None]:
    if raw.label is None:
        return None, None
    if raw.label_names is not None:
        return torch.from_numpy(raw.label.astype(np.int64)), raw.label_names
    codes, names = encode_labels(raw.label, rows, "the label")
    return torch.from_numpy(codes), names


def _known(factors: Sequence[Factor]) -> tuple[str, ...]:
    """A sentence on the factors of variation, where there are any."""
    named = ", ".join(f"{factor.name} ({factor.distinct})" for factor in factors)
    return (f"factors of variation are known (for --measure disentanglement): {named}",) if factors else ()


def _known_scaling(levels: int | None) -> Scaling:
    """Levels are scaled to 0..1 whatever the rows; what depends on rows waits for `fit_spec`."""
    return Scaling() if levels is None else Scaling(shift=0.0, scale=float(max(1, levels - 1)), name="unit")


def _describe(source: Source) -> str:
    if isinstance(source, str | Path):
        return str(source)
    rows = source[0] if isinstance(source, tuple) else source
    if isinstance(rows, np.ndarray | Tensor):
        return f"array of {_size(rows.shape)}"
    if is_sparse(rows):
        return f"sparse matrix of {_size(rows.shape)}"
    frame = as_frame(rows)
    return type(rows).__name__ if frame is None else f"frame of {_size(frame.shape)}"


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def digest_rows(x: Tensor, label: Tensor | None) -> str:
    """SHA-256 over dtype, shape and little-endian bytes of the rows, then of the labels."""
    digest = hashlib.sha256()
    for tensor in (x, label):
        if tensor is None:
            continue
        values = tensor.numpy()
        values = values.astype(values.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{values.dtype.name} {values.shape};".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()
