"""Factors of variation: those that data come with, or that their file names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from nelbo.data.labels import encode_factors
from nelbo.data.sources import Data, names_in, read_beside
from nelbo.errors import DataError, unknown

__all__ = ["with_factors"]


def with_factors(data: Data, names: Sequence[str] = ()) -> Data:
    """The same rows with the factors of variation of these names; with all they came with if none is named.

    What they did not come with comes last, and is read from their file: a column of a table, left aside in training
    or not; an array of a .npz or .h5 file, of which one [N, F] holds F factors; a column of ``obs``.

    Raises
    ------
    DataError
        If the data have no known factors, or none of that name.
    """
    if not names:
        if data.factors is None:
            raise _none_known(data)
        return data
    came_with = {factor.name: place for place, factor in enumerate(data.spec.factors)}
    others = [name for name in names if name not in came_with]
    if others and names_in(data.source) is None:
        raise unknown("factor of variation", others[0], came_with, DataError) if came_with else _none_known(data)
    read, found = encode_factors(read_beside(data.source, others) if others else {}, len(data))
    places = [came_with[name] for name in names if name in came_with]
    codes = [torch.from_numpy(read)] if data.factors is None else [data.factors[:, places], torch.from_numpy(read)]
    factors = (*(data.spec.factors[place] for place in places), *found)
    return replace(data, factors=torch.cat(codes, 1), spec=data.spec.model_copy(update={"factors": factors}))


def _none_known(data: Data) -> DataError:
    return DataError(
        f"{data.spec.name!r} has no known factors of variation; name columns or arrays of its file that hold them "
        "(factors=NAME+NAME), store them as the array 'factors' of a .npz file, or train on data that have them: "
        "nelbo train shapes"
    )
