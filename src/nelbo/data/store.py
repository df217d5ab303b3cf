"""Where the files of named data sets are: a folder of the user's, the cache, or the net."""

from __future__ import annotations

import gzip
import hashlib
import os
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from nelbo.errors import DataError

__all__ = ["Fetch", "KnownFile", "Store", "default_store", "download"]

Fetch = Callable[[str], bytes]

TIMEOUT = 30.0  # seconds without a byte
BLOCK = 1 << 16


@final
@dataclass(frozen=True)
class KnownFile:
    """A file of a named data set; the hash is that of the decompressed content."""

    name: str
    sha256: str
    url: str | None = None


@final
class Store:
    """Finds files in folders, in order, and fetches what is missing into the last.

    Parameters
    ----------
    folders
        Each holds one sub-folder per data set; the last one is the cache that downloads go to.
    fetch
        How the bytes of a URL are got.
    """

    def __init__(self, folders: Sequence[Path], fetch: Fetch) -> None:
        self._folders = tuple(folders)
        self._fetch = fetch

    def find(self, dataset: str, file: KnownFile) -> Path | None:
        """The first folder's copy of the file, if any folder has one."""
        places = (folder / dataset / file.name for folder in self._folders)
        return next((place for place in places if place.is_file()), None)

    def path(self, dataset: str, file: KnownFile) -> Path:
        """The file on disk, fetched first where it is missing.

        Raises
        ------
        DataError
            If it is missing and there is no source to fetch it from, or fetching fails.
        """
        found = self.find(dataset, file)
        if found is not None:
            return found
        if file.url is None:
            raise DataError(
                f"data set {dataset!r} is not here and has no source to fetch it from; "
                f"put {file.name} into the folder {dataset} below $NELBO_DATA or '{self._folders[-1]}'"
            )
        content = self._fetch(file.url)
        target = self._folders[-1] / dataset / file.name
        self.check(_decompressed(content, file.url), file, file.url)
        _write(target, content)
        return target

    def content(self, dataset: str, file: KnownFile) -> bytes:
        """The decompressed and verified content of a file.

        Raises
        ------
        DataError
            If it cannot be had, or is not what its hash says.
        """
        path = self.path(dataset, file)
        try:
            packed = path.read_bytes()
        except OSError as error:
            raise DataError(f"'{path}' cannot be read ({error.strerror}); mend or remove it") from error
        content = _decompressed(packed, str(path))
        self.check(content, file, str(path))
        return content

    @staticmethod
    def check(content: bytes, file: KnownFile, where: str) -> None:
        """Refuse content that differs from the known one."""
        if hashlib.sha256(content).hexdigest() != file.sha256:
            raise DataError(
                f"'{where}' does not hold the known content of {file.name} (its SHA-256 differs); "
                "remove it and get it anew, or give another file by its path"
            )


def default_store() -> Store:
    """`$NELBO_DATA`, then the user's cache, then the net."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nelbo"
    given = os.environ.get("NELBO_DATA")
    return Store((Path(given), cache) if given else (cache,), download)


def download(url: str) -> bytes:
    """The bytes of a URL, with a progress bar.

    Raises
    ------
    DataError
        If the server cannot be reached or breaks off.
    """
    from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    name = url.rsplit("/", 1)[-1]
    columns = (TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, Progress(*columns, transient=True) as progress:
            size = answer.headers.get("Content-Length")
            task = progress.add_task(f"fetching {name}", total=int(size) if size else None)
            parts = []
            while part := answer.read(BLOCK):
                parts.append(part)
                progress.advance(task, len(part))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name} cannot be fetched from {url} ({error}); try again, or put it below $NELBO_DATA"
        ) from error
    return b"".join(parts)


def _decompressed(content: bytes, where: str) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        raise DataError(f"'{where}' is cut short or damaged; remove it and get it anew") from None


def _write(target: Path, content: bytes) -> None:
    """Write so that the file is either whole or absent."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(target)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise DataError(
            f"'{target}' cannot be written ({error.strerror}); set XDG_CACHE_HOME to a folder with room"
        ) from error
