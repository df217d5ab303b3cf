"""A folder of images; its sub-folders are labels."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nelbo.data.raw import Raw
from nelbo.errors import DataError

__all__ = ["SUFFIXES", "read_images"]

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif"})
GREY = frozenset({"1", "L", "LA"})
DEEP = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})
DAMAGED = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)

Size = tuple[int, int]


def read_images(folder: Path) -> Raw:
    """Every image below `folder`, in the order of their paths, as bytes (N, 1 or 3, H, W).

    Images are all grey or all in colour, and all of one size; of an animation the first frame is read,
    transparency is dropped. The sub-folder an image lies in is its label.

    Raises
    ------
    DataError
        If there are no images, one is corrupt, or one differs in size or in colour; the file is named.
    """
    every = sorted(path for path in folder.rglob("*") if path.is_file() and not _hidden(path, folder))
    paths = [path for path in every if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise DataError(f"folder '{folder}' holds no images ({', '.join(sorted(SUFFIXES))}); name one that does")
    headers = [_header(path) for path in paths]
    grey = _check_alike(paths, headers)
    width, height = headers[0][0]
    values = np.empty((len(paths), height, width, 1 if grey else 3), np.uint8)
    for row, path in enumerate(paths):
        values[row] = _pixels(path, grey).reshape(values.shape[1:])
    reasons = [f"{len(paths)} {'grey' if grey else 'colour'} images of {width} x {height} (width x height)"]
    if len(every) > len(paths):
        reasons.append(f"files that are not images are left aside: {len(every) - len(paths)}")
    labels = np.array([_label(path, folder) for path in paths], dtype=np.str_)
    labelled = bool((labels != "").any())
    if labelled:
        reasons.append("labels are the names of the sub-folders")
    return Raw(
        np.ascontiguousarray(np.moveaxis(values, -1, 1)),
        "image",
        folder.resolve().name,
        label=labels if labelled else None,
        reasons=tuple(reasons),
    )


def _hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _label(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else ""


def _header(path: Path) -> tuple[Size, str]:
    try:
        with Image.open(path) as image:
            return image.size, image.mode
    except DAMAGED as error:
        raise _corrupt(path) from error


def _pixels(path: Path, grey: bool) -> npt.NDArray[np.uint8]:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("L" if grey else "RGB"))
    except DAMAGED as error:
        raise _corrupt(path) from error


def _corrupt(path: Path) -> DataError:
    return DataError(f"image '{path}' is corrupt or cut short; remove it or make it anew")


def _check_alike(paths: list[Path], headers: list[tuple[Size, str]]) -> bool:
    """Whether all are grey; an error names the first image that differs from most."""
    size = Counter(size for size, _ in headers).most_common(1)[0][0]
    for path, (other, mode) in zip(paths, headers, strict=True):
        if other != size:
            raise DataError(
                f"image '{path}' is {other[0]} x {other[1]}, but most are {size[0]} x {size[1]} (width x height); "
                "resize or remove it"
            )
        if mode in DEEP:
            raise DataError(f"image '{path}' has more than 8 bits a channel; save it with 8 bits")
    greys = [mode in GREY for _, mode in headers]
    most = 2 * sum(greys) >= len(greys)
    odd = next((path for path, is_grey in zip(paths, greys, strict=True) if is_grey != most), None)
    if odd is None:
        return most
    words = ("in colour", "grey") if most else ("grey", "in colour")
    raise DataError(f"image '{odd}' is {words[0]}, but most are {words[1]}; convert them all alike")
