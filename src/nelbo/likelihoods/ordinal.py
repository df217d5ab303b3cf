"""The ordinal likelihood: a hidden number cut into levels by thresholds that are learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.levels import Levels
from nelbo.errors import CompositionError
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.links import log_concentration
from nelbo.registry import register


@register("likelihood/ordinal")
@final
class OrdinalLikelihood(Elementwise):
    r"""P(x <= k given z) = sigmoid(t_k - network(z)) with thresholds t_0 < t_1 < ... of each cell: cumulative logits.

    Reference measure: probability mass on 0 .. levels-1. Levels have an order and no distances: how far apart two of
    them are is learned, once a cell. The model of proportional odds: z moves the odds of "at most k" by one factor
    for all k. Thresholds start where, at an output of 0, every level is as probable; their gaps are positive, softly
    within a factor of exp(10) of where they start.

    Parameters
    ----------
    network
        Emits locations [N, P].
    shape
        Shape of x.
    levels
        L; there are L - 1 thresholds a cell.

    References
    ----------
    McCullagh (1980), Regression models for ordinal data; in a VAE: Nazabal et al. (2020), arXiv:1807.03653.
    """

    fits: ClassVar = frozenset({Kind.LEVELS, Kind.ORDINAL})
    density: ClassVar = False

    starts: Tensor

    def __init__(self, network: nn.Module, shape: Sequence[int], levels: int = 2) -> None:
        if levels < 2:
            raise CompositionError(f"an ordinal likelihood needs 2 levels or more, but {levels} was given")
        super().__init__(network, shape, 1)
        self.levels = levels
        self.first = nn.Parameter(torch.zeros(self.shape))
        self.raw_gaps = nn.Parameter(torch.zeros(*self.shape, levels - 2)) if levels > 2 else None
        self.register_buffer("starts", torch.logit(torch.arange(1, levels) / levels), persistent=False)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Levels:
        (loc,) = self.emit(z, context)
        gaps = self.gaps()
        first = (self.starts[0] + self.first).unsqueeze(-1)
        thresholds = torch.cat([first, first + gaps.cumsum(-1)], -1)
        return Levels(cumulative_log_mass(loc, thresholds, gaps))

    def gaps(self) -> Tensor:
        """Distances between neighbouring thresholds, [*cells, L - 2]."""
        if self.raw_gaps is None:
            return self.first.new_zeros(*self.shape, 0)
        return self.starts.diff() * log_concentration(self.raw_gaps).exp()


def cumulative_log_mass(loc: Tensor, thresholds: Tensor, gaps: Tensor) -> Tensor:
    """log(sigmoid(t_k - loc) - sigmoid(t_(k-1) - loc)) of every level k, `[...] -> [..., L]`, the end levels open.

    The difference factorises into sigmoid(t_k - loc) sigmoid(loc - t_(k-1)) (1 - exp(-(t_k - t_(k-1)))): nothing is
    subtracted that rounds to zero.
    """
    centred = thresholds - loc.unsqueeze(-1)
    below, above = F.logsigmoid(centred), F.logsigmoid(-centred)  # log P(x <= k), log P(x > k), k = 0 .. L - 2
    inner = below[..., 1:] + above[..., :-1] + torch.log(-torch.expm1(-gaps))
    return torch.cat([below[..., :1], inner, above[..., -1:]], -1)
