"""How a network reads x: from the units of the data to the scale that it works in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from nelbo.registry import register


@register("reading/scaled")
@final
class Reading(nn.Module):
    """(x - shift) / scale, of log(1 + x) for counts that are read so.

    Parameters
    ----------
    shift, scale
        One number, or one for each dimension of a flattened row.
    logarithm
        Whether log(1 + x) is scaled.
    """

    shifts: Tensor
    factors: Tensor

    def __init__(
        self, shift: float | Sequence[float] = 0.0, scale: float | Sequence[float] = 1.0, logarithm: bool = False
    ) -> None:
        super().__init__()
        self.logarithm = logarithm
        # The spec holds the numbers and no training moves them: they are no weights.
        dtype = torch.get_default_dtype()
        self.register_buffer("shifts", torch.tensor(shift, dtype=dtype), persistent=False)
        self.register_buffer("factors", torch.tensor(scale, dtype=dtype).reciprocal(), persistent=False)
        self._number = None if isinstance(scale, Sequence) else 1 / scale  # exact in any precision
        self._is_shifted = any(shift) if isinstance(shift, Sequence) else bool(shift)

    def forward(self, x: Tensor) -> Tensor:
        x = x.log1p() if self.logarithm else x
        x = x - _by_cell(self.shifts, x) if self._is_shifted else x
        return x * (_by_cell(self.factors, x) if self._number is None else self._number)

    if TYPE_CHECKING:  # a module returns Any

        def __call__(self, x: Tensor) -> Tensor: ...


def _by_cell(values: Tensor, x: Tensor) -> Tensor:
    """One number as it is; one for each dimension of a row [N, *event] in the shape of a row."""
    return values.reshape(x.shape[1:]) if values.dim() else values
