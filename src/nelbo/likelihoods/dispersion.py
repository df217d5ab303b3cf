"""How wide a likelihood is: a raw parameter that is learned once, learned per cell, or emitted by the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from nelbo.errors import unknown

Width = Literal["shared", "dimension", "datum"]


@final
class Dispersion(nn.Module):
    """The raw dispersion parameter of every cell: a scale, a concentration or a precision before its constraint.

    Parameters
    ----------
    option
        What the user calls it, for the refusal: "sigma of the laplace likelihood".
    width
        `shared`: one learned number; `dimension`: one a cell; `datum`: the last of the network's outputs.
    cells
        Shape of x.

    Raises
    ------
    ConfigError
        If the width is none of these.
    """

    def __init__(self, option: str, width: Width, cells: Sequence[int]) -> None:
        if width not in get_args(Width):
            raise unknown(option, width, get_args(Width))
        super().__init__()
        size = tuple(cells) if width == "dimension" else ()
        self.raw = None if width == "datum" else nn.Parameter(torch.zeros(size))

    def forward(self, emitted: Sequence[Tensor]) -> Tensor:
        """[N, *cells] where the network emitted it, else [*cells] or []."""
        return emitted[-1] if self.raw is None else self.raw


def emitted_outputs(width: str) -> int:
    """How many network outputs a cell spends on its dispersion."""
    return 1 if width == "datum" else 0
