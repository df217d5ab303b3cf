"""How wide a likelihood is: a raw parameter that is learned once, learned per cell, or emitted by the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from nelbo.errors import unknown

Width = Literal["shared", "dimension", "datum"]


PACE = 10.0


@final
class Learned(nn.Module):
    """Numbers learned once for all data, of a given size: start + 10 raw, where raw starts at 0.

    Adam and its kin move a parameter by about the learning rate a step, however clear the data are: with 2,000 steps at
    1e-3 and cosine decay, by 1 in all. A weight has no need to go further, a log-variance often has (from 0 to -5 where
    99 % of the variance is explained), and while it is on its way the network learns at the wrong noise level. Ten
    times the pace costs nothing at the end: the gradient of such a number averages over all rows of a batch.

    Parameters
    ----------
    size
        Shape of the numbers; () for one.
    start
        Their value at first.
    """

    start: Tensor

    def __init__(self, size: Sequence[int], start: float = 0.0) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(tuple(size)))
        self.register_buffer("start", torch.tensor(float(start)), persistent=False)

    def forward(self) -> Tensor:
        return torch.add(self.start, self.raw, alpha=PACE)

    @torch.no_grad()
    def set(self, value: Tensor | float) -> None:
        """Make the numbers these."""
        self.raw.copy_((torch.as_tensor(value) - self.start) / PACE)


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
        self.learned = None if width == "datum" else Learned(size)

    def forward(self, emitted: Sequence[Tensor]) -> Tensor:
        """[N, *cells] where the network emitted it, else [*cells] or []."""
        return emitted[-1] if self.learned is None else self.learned()


def emitted_outputs(width: str) -> int:
    """How many network outputs a cell spends on its dispersion."""
    return 1 if width == "datum" else 0
