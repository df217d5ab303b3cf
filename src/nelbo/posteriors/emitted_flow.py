"""Flows all of whose parameters the network emits: a Gaussian, then a few maps of one kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor, nn

from nelbo.distributions.flows import Bijection, Pushed
from nelbo.distributions.normal import DiagonalNormal, Variance
from nelbo.posteriors.amortised import Amortised


class EmittedFlow(Amortised, ABC):
    """e ~ N(mu(x), diag(sigma^2(x))), then `steps` maps of one kind.

    Parameters
    ----------
    what
        What it is called where it is refused.
    network
        Emits [N, 2 D + steps P]: means, log-variances, then the P parameters of each map.
    dim
        D.
    steps
        Number of maps.
    needed
        2 D + steps P.
    min_log_variance
        Smooth lower bound of the log-variances of the base.
    """

    def __init__(
        self, what: str, network: nn.Module, dim: int, steps: int, needed: int, min_log_variance: float
    ) -> None:
        super().__init__(what, network, dim, needed)
        self.steps = steps
        self.variance = Variance(min_log_variance)

    @abstractmethod
    def maps(self, step: Tensor) -> Sequence[Bijection]:
        """One map, which may be put together of several, from its parameters [N, P]."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> Pushed:
        features, dim = self.emit(x, context), self.dim
        loc, variance = features[..., :dim], self.variance(features[..., dim : 2 * dim])
        steps = features[..., 2 * dim :].chunk(self.steps, -1)
        return Pushed(
            DiagonalNormal(loc, variance.log(), variance), [each for step in steps for each in self.maps(step)]
        )
