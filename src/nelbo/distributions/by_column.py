"""A table whose columns follow distributions of several families."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint


@final
class ByColumn(Distribution):
    """Independent cells [..., D], put together from elementwise distributions over groups of columns.

    `log_prob` is elementwise: a log-mass where the group's distribution is discrete, a log-density where it is
    continuous.

    Parameters
    ----------
    parts
        Distributions over [..., D_g]; the D_g sum to D.
    order [D]
        Whole numbers: the columns of the first group, then those of the second, and so on; each of 0 .. D-1 once.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, parts: Sequence[Distribution], order: Tensor) -> None:
        self.parts = tuple(parts)
        self.order = order
        self._places = torch.argsort(order)
        super().__init__(Size((*parts[0].batch_shape[:-1], len(order))), validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.joined([part.mean for part in self.parts])

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        return self.joined([part.sample(Size(sample_shape)) for part in self.parts])

    def log_prob(self, value: Tensor) -> Tensor:
        """log-mass or log-density of each cell, nats."""
        sizes = [part.batch_shape[-1] for part in self.parts]
        pieces = torch.split(value.index_select(-1, self.order), sizes, -1)
        return self.joined([part.log_prob(piece) for part, piece in zip(self.parts, pieces, strict=True)])

    def joined(self, pieces: Sequence[Tensor]) -> Tensor:
        """One tensor [..., D_g] of each group, as a table [..., D] with every column in its place."""
        return torch.cat(tuple(pieces), -1).index_select(-1, self._places)
