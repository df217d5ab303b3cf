"""The IDX format of MNIST: two zero bytes, a type, the number of axes, their lengths, then the values."""

from __future__ import annotations

import math
import struct

import numpy as np

from nelbo.data.raw import Array
from nelbo.errors import DataError

__all__ = ["parse_idx"]

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
HEAD = 4


def parse_idx(content: bytes, what: str) -> Array:
    """The array in an IDX file, in the machine's byte order.

    Raises
    ------
    DataError
        If the header is not one of IDX, or the length does not match it.
    """
    if len(content) < HEAD or content[:2] != b"\0\0" or content[2] not in TYPES:
        raise DataError(f"'{what}' is not an IDX file; remove it so that it is fetched again")
    dtype, axes = np.dtype(TYPES[content[2]]), content[3]
    start = HEAD + 4 * axes
    shape = struct.unpack(f">{axes}I", content[HEAD:start]) if len(content) >= start else ()
    if len(shape) != axes or len(content) != start + dtype.itemsize * math.prod(shape):
        raise DataError(f"'{what}' is cut short or damaged; remove it so that it is fetched again")
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))
