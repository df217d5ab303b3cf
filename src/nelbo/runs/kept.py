"""Rows that were in memory when a run was trained, kept with it: every later command finds them there."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError
from torch import Tensor

from nelbo.data import Data, DataSpec
from nelbo.data.sources import digest_rows
from nelbo.errors import StorageError
from nelbo.storage import read_tensors, write_tensors

__all__ = ["has_rows", "keep_rows", "kept_rows"]

FILE = "rows.safetensors"
OFFICIAL = "official/"
_BESIDE = ("label", "group", "factors")


def keep_rows(folder: Path, data: Data) -> None:
    """Write the rows with their spec, atomically."""
    tensors: dict[str, Tensor] = {"x": data.x}
    tensors |= {name: value for name in _BESIDE if (value := getattr(data, name)) is not None}
    tensors |= {f"{OFFICIAL}{name}": rows for name, rows in data.official.items()}
    about = {"spec": data.spec.model_dump_json(), "source": data.source, "sha256": data.sha256}
    write_tensors(folder / FILE, tensors, about)


def has_rows(folder: Path) -> bool:
    """Whether a run keeps its rows."""
    return (folder / FILE).exists()


def kept_rows(folder: Path) -> Data | None:
    """The rows that were kept; None where there are none.

    Raises
    ------
    StorageError
        If the file is damaged, or does not hold the rows that it names.
    """
    file = folder / FILE
    if not has_rows(folder):
        return None
    tensors, about = read_tensors(file)
    try:
        spec, x = DataSpec.model_validate_json(about["spec"]), tensors["x"]
        source, sha256 = about["source"], about["sha256"]
    except (KeyError, ValidationError, json.JSONDecodeError) as problem:
        raise StorageError(f"{file} is damaged ({type(problem).__name__}); restore it from a copy") from None
    beside = {name: tensors.get(name) for name in _BESIDE}
    if tuple(x.shape[1:]) != spec.event_shape or digest_rows(x, beside["label"]) != sha256:
        raise StorageError(f"{file} does not hold the rows that it names; restore it from a copy")
    official = {name.removeprefix(OFFICIAL): rows for name, rows in tensors.items() if name.startswith(OFFICIAL)}
    return Data(
        x=x,
        label=beside["label"],
        spec=spec,
        official=MappingProxyType(official),
        group=beside["group"],
        factors=beside["factors"],
        source=source,
        sha256=sha256,
    )
