"""Batches by index from one contiguous tensor on the device; order and noise are functions of a seed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch
from nelbo.data.conditioning import context_codes, one_hot
from nelbo.data.sources import Data
from nelbo.data.spec import DataSpec, Kind
from nelbo.data.transforms import NoTransform, Transform
from nelbo.errors import ConfigError, DataError
from nelbo.noise import mixed_seed

__all__ = ["Batches"]

ROWS_AT_ONCE = 10_000
ORDER, NOISE, FIXED = range(3)  # streams of random numbers that must not meet


@final
class Batches:
    """Batches of some rows of the data, transformed, as often as wanted.

    Parameters
    ----------
    rows
        Row numbers in `data`.
    spec
        As fitted by `fit_spec` for this transform.
    seed
        Order and noise of an epoch depend on it and on the number of the epoch alone, never on torch's global state.
    drop_last
        Whether `epoch` leaves out a last batch that is short; `fixed` never does.
    labels
        Whether batches carry the labels. Where the spec is conditioned on them they carry them as context as well.

    Raises
    ------
    ConfigError
        If `batch_size` is below 1.
    DataError
        If there are no rows, or `drop_last` leaves no batch, or a row lacks the label that the spec conditions on.
    """

    def __init__(
        self,
        data: Data,
        rows: Tensor,
        spec: DataSpec,
        transform: Transform,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        shuffle: bool = True,
        drop_last: bool = False,
        labels: bool = True,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"the batch size is {batch_size}; give --batch-size 1 or more")
        if len(rows) == 0 or (drop_last and len(rows) < batch_size):
            raise DataError(
                f"{len(rows)} rows do not fill a batch of {batch_size}; give more rows or a smaller --batch-size"
            )
        x, transform = _done_once(data.x, rows, transform, binary=spec.kind is Kind.BINARY)
        self._x = x.contiguous().to(device)
        self._label = None if data.label is None or not labels else data.label.to(device)
        codes = context_codes(data, rows, spec)
        self._codes = None if codes is None else codes.to(device)
        self._classes = spec.context
        self._rows = rows.to(device)
        self._transform = transform
        self._size = batch_size
        self._seed = seed
        self._device = device
        self._shuffle = shuffle
        self._drop_last = drop_last
        self._scratch = _scratch(self._x, min(batch_size, len(rows)))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self._rows)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.rows // self._size if self._drop_last else -(-self.rows // self._size)

    def epoch(self, epoch: int, start: int = 0, noise: Tensor | None = None) -> Walk:
        """The batches of an epoch; order and noise are a function of (seed, epoch) only.

        Parameters
        ----------
        start
            Batches to leave out: an epoch that was broken off goes on there.
        noise
            The state of the noise then (`Walk.noise`).
        """
        order = self._rows
        if self._shuffle:
            places = torch.randperm(self.rows, generator=_generator("cpu", self._seed, epoch, ORDER))
            order = order[places.to(self._device)]
        generator = _generator(self._device, self._seed, epoch, NOISE)
        if noise is not None:
            generator.set_state(noise)
        end = len(self) * self._size if self._drop_last else self.rows
        return Walk(self._walk(order[start * self._size : end], generator), generator)

    def fixed(self, seed: int = 0) -> Iterator[Batch]:
        """All rows in their order, with noise that is the same whatever the batch size and the device.

        One generator on the CPU draws the noise of the rows in order, so that row i gets the same numbers however
        rows are put together into batches.
        """
        return self._walk(self._rows, _generator("cpu", seed, 0, FIXED))

    def _walk(self, order: Tensor, noise: torch.Generator) -> Iterator[Batch]:
        for index in torch.split(order, self._size) if len(order) else ():
            x, log_jacobian = self._transform(self._gather(index), noise)
            yield Batch(
                x=x,
                context=None if self._codes is None else one_hot(self._codes.index_select(0, index), self._classes),
                log_jacobian=log_jacobian,
                label=None if self._label is None else self._label.index_select(0, index),
                index=index,
            )

    def of(self, x: Tensor, context: Tensor | None = None) -> Batch:
        """A batch of x as the likelihood sees it."""
        return Batch(x, context=context, log_jacobian=self._transform.log_jacobian(x))

    def _gather(self, index: Tensor) -> Tensor:
        """The rows; bytes go to a buffer that is used again, since every transform makes new floats of them."""
        scratch = self._scratch
        if scratch is None:
            return self._x.index_select(0, index)
        return torch.index_select(self._x, 0, index, out=scratch if len(index) == len(scratch) else None)


@final
class Walk(Iterator[Batch]):
    """The batches of an epoch, one after the other."""

    def __init__(self, batches: Iterator[Batch], noise: torch.Generator) -> None:
        self._batches = batches
        self._noise = noise

    def __next__(self) -> Batch:
        return next(self._batches)

    @property
    def noise(self) -> Tensor:
        """The state of the noise after the last batch."""
        return self._noise.get_state()


def _done_once(x: Tensor, rows: Tensor, transform: Transform, binary: bool) -> tuple[Tensor, Transform]:
    """A binarisation that draws no noise is done here for all rows, kept as bytes, rather than in every batch."""
    if transform.random or not binary or isinstance(transform, NoTransform):
        return x, transform
    done = torch.zeros_like(x, dtype=torch.uint8)
    for part in torch.split(rows, ROWS_AT_ONCE):
        done[part] = transform(x[part], torch.Generator())[0].to(torch.uint8)
    return done, NoTransform()


def _scratch(x: Tensor, size: int) -> Tensor | None:
    return None if x.is_floating_point() else torch.empty((size, *x.shape[1:]), dtype=x.dtype, device=x.device)


def _generator(device: torch.device | str, seed: int, epoch: int, stream: int) -> torch.Generator:
    """A generator of its own for each (seed, epoch, stream), mixed so that near seeds give unlike streams."""
    return torch.Generator(device=device).manual_seed(mixed_seed(seed, epoch, stream))
