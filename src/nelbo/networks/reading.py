"""How a posterior reads x: the scaling of the data as a module, for objectives that make data of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from nelbo.registry import register


@register("reading/scaled")
@final
class Reading(nn.Module):
    """(x - shift) / scale, of log(1 + x) for counts that are read so; as `Batches` makes `x_in` of x.

    Parameters
    ----------
    shift, scale
        One number, or one for each column.
    logarithm
        Whether log(1 + x) is scaled.
    """

    shift: Tensor
    scale: Tensor

    def __init__(
        self, shift: float | Sequence[float] = 0.0, scale: float | Sequence[float] = 1.0, logarithm: bool = False
    ) -> None:
        super().__init__()
        self.logarithm = logarithm
        self.register_buffer("shift", torch.as_tensor(shift, dtype=torch.get_default_dtype()))
        self.register_buffer("scale", torch.as_tensor(scale, dtype=torch.get_default_dtype()))

    def forward(self, x: Tensor) -> Tensor:
        return ((x.log1p() if self.logarithm else x) - self.shift) / self.scale
