"""What every elementwise likelihood shares: a network, the shape of x, and what data it fits."""

from __future__ import annotations

import math
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.core import Likelihood
from nelbo.data.spec import Kind
from nelbo.errors import CompositionError
from nelbo.networks.mlp import apply
from nelbo.networks.precision import full_precision


class Elementwise(Likelihood, ABC):
    """A likelihood whose cells are independent given z, with `parameters` network outputs a cell.

    The network works in scaled values; the distribution is over x in the data's own units. A subclass that has
    locations and scales converts them by `shift` and `scale` (x = shift + scale * network value).

    `px = likelihood(z)` is that distribution, [N, *cells]: `px.log_prob(x)` is in nats a cell, `px.sample()` and
    `likelihood.mode(px)` are values that the data can take, `px.mean` need not be one (2.5 of a count).

    Class attributes
    ----------------
    fits
        Kinds of data this likelihood is for.
    after
        Kinds it can serve after a named transform: kind -> names of the transforms.
    density
        True where `log_px` is a density, False where it is a probability mass.
    """

    fits: ClassVar[frozenset[Kind]]
    after: ClassVar[Mapping[Kind, tuple[str, ...]]] = {}
    density: ClassVar[bool]

    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        parameters: int,
        shift: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__()
        self.network = network
        self.shape = tuple(shape)
        self.cells = self.shape
        self.parameters_per_cell = parameters
        needed = parameters * math.prod(self.shape)
        emitted = getattr(network, "out_features", needed)
        if emitted != needed:
            raise CompositionError(
                f"{type(self).__name__} over values of shape {self.shape} needs a network with {needed} outputs "
                f"({parameters} a value), but this one has {emitted}"
            )
        self.register_buffer("shift", _cellwise(shift, self.shape))
        self.register_buffer("scale", _cellwise(scale, self.shape))

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        """How many network outputs a cell needs, given the options of a part string."""
        return 1

    def mode(self, px: Distribution) -> Tensor:
        return px.mode

    def emit(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, ...]:
        """The network's outputs for z [N, D], one tensor [N, *cells] per parameter, in float32 or better."""
        flat = full_precision(apply(self.network, z, context))
        if self.parameters_per_cell == 1:
            return (flat.view(-1, *self.shape),)
        return flat.view(-1, self.parameters_per_cell, *self.shape).unbind(1)


def _cellwise(value: float | Sequence[float], cells: tuple[int, ...]) -> Tensor:
    tensor = torch.as_tensor(value, dtype=torch.get_default_dtype())
    return tensor if tensor.dim() == 0 else tensor.view(cells)
