"""Files that are whole or absent: atomic safetensors and JSON.

Every write goes to a temporary file beside its target, is flushed to the disk, and is renamed over it; a failed
write leaves the old file as it was. Reading executes nothing: safetensors holds numbers, JSON holds words.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from nelbo.errors import StorageError

UNFINISHED = ".tmp-"
RESTORE = "restore it from a copy, or train again"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises
    ------
    StorageError
        If the place cannot be written (no room, read-only, below a file); nothing half-written remains.
    """
    temporary = path.with_name(f".{path.name}{UNFINISHED}{uuid.uuid4().hex[:8]}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as problem:
        raise StorageError(
            f"cannot write {path}: {problem.strerror or problem}; free some space or choose another place (--run DIR)"
        ) from problem
    finally:
        _discard(temporary)  # renamed by now, unless something went wrong


def sweep(folder: Path) -> None:
    """Remove what a kill in the middle of a write left behind; nobody else may write there."""
    for unfinished in folder.rglob(f".*{UNFINISHED}*"):
        _discard(unfinished)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; NaN and infinity are refused, for other readers would not take them."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises
    ------
    StorageError
        If the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except OSError as problem:
        raise StorageError(f"cannot read {path}: {problem.strerror or problem}") from problem
    except (ValueError, RecursionError) as problem:
        raise StorageError(
            f"{path} is damaged (not JSON: {problem}); restore it from a copy or train again"
        ) from problem


def read_lines(path: Path, last: int | None = None) -> list[dict[str, Any]]:
    """The records of a file of JSON lines; one that a crash cut off, or that is not ours, ends the reading.

    Parameters
    ----------
    last
        Bytes at the end of a file that may be long; by default all of it.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = 0 if last is None else max(0, size - last)
            file.seek(start)
            lines = file.read().decode(errors="replace").split("\n")
    except FileNotFoundError:
        return []
    records: list[dict[str, Any]] = []
    for line in lines[1 if start else 0 :]:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break
        if not isinstance(record, dict):  # a number that was cut off is one still
            break
        records.append(record)
    return records


def keep_lines(path: Path, is_kept: Callable[[Mapping[str, Any]], bool]) -> None:
    """Leave only some records in a file of JSON lines, which is made if there is none."""
    kept = [json.dumps(record) for record in read_lines(path) if is_kept(record)]
    write_text(path, "".join(line + "\n" for line in kept))


def append_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Add records to a file of JSON lines.

    Raises
    ------
    StorageError
        If the place cannot be written.
    """
    try:
        with path.open("a") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
    except OSError as problem:
        raise StorageError(
            f"cannot write {path}: {problem.strerror or problem}; free some space and go on with --resume"
        ) from problem


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write named tensors as safetensors, atomically; the metadata carries a digest checked on reading."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = dict(metadata or {})
    content["digest"] = digest(plain)
    write_bytes(path, safetensors.torch.save(plain, metadata=content))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read named tensors and their metadata, refusing a truncated or altered file.

    Raises
    ------
    StorageError
        If the file is missing, truncated, not safetensors, or its content does not match its digest.
    """
    with _opened(path) as file:
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    stored = metadata.pop("digest", None)
    if stored is not None and stored != digest(tensors):
        raise StorageError(f"{path} was altered after it was written (its digest does not match); {RESTORE}")
    return tensors, metadata


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of named tensors, from the head of the file alone.

    Raises
    ------
    StorageError
        If the file is missing, truncated or not safetensors.
    """
    with _opened(path) as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError as problem:
        raise StorageError(f"{path} is missing; {RESTORE}") from problem
    except (OSError, safetensors.SafetensorError, ValueError) as problem:
        raise StorageError(f"{path} is damaged or truncated ({problem}); {RESTORE}") from problem


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes, types and values, in order of the names."""
    import hashlib

    result = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        result.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        result.update(tensor.flatten().view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
    return result.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # below a file, or the disk is gone: there is nothing to discard
