"""The categorical likelihood, for codes without an order and for levels whose order is not to be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.levels import Levels
from nelbo.errors import CompositionError
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.registry import register


@register("likelihood/categorical")
@final
class CategoricalLikelihood(Elementwise):
    """p(x = k given z) = softmax_k of `levels` network outputs for every cell.

    Reference measure: probability mass on 0 .. levels-1. It can learn any distribution over the levels of a cell, at
    `levels` outputs a cell, and knows nothing of their order: a level never seen in a cell stays improbable there.

    Parameters
    ----------
    network
        Emits logits [N, levels P], level by level.
    shape
        Shape of x.
    levels
        L.

    References
    ----------
    van den Oord et al. (2016), Pixel recurrent neural networks, arXiv:1601.06759, section 2.2.
    """

    fits: ClassVar = frozenset({Kind.LEVELS, Kind.BYTE, Kind.CATEGORICAL})
    density: ClassVar = False

    def __init__(self, network: nn.Module, shape: Sequence[int], levels: int = 256) -> None:
        if levels < 2:
            raise CompositionError(f"a categorical likelihood needs 2 levels or more, but {levels} was given")
        super().__init__(network, shape, levels)
        self.levels = levels

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return int(options.get("levels", 256))

    def forward(self, z: Tensor, context: Tensor | None = None) -> Levels:
        return Levels(torch.stack(self.emit(z, context), -1))
