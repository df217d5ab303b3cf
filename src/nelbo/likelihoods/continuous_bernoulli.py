"""The continuous Bernoulli likelihood, for data in the unit interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
from torch import Tensor, nn
from torch.distributions import AffineTransform, Distribution, TransformedDistribution

from nelbo.data.spec import Kind
from nelbo.distributions.continuous_bernoulli import ContinuousBernoulli
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.registry import register


@register("likelihood/continuous-bernoulli")
@final
class ContinuousBernoulliLikelihood(Elementwise):
    """p(x given z) = continuous Bernoulli of (x - shift) / scale in [0, 1] for every cell.

    Reference measure: Lebesgue, in the data's own units (the density carries -log scale a cell).

    References
    ----------
    Loaiza-Ganem and Cunningham (2019), The continuous Bernoulli: fixing a pervasive error in variational autoencoders,
    arXiv:1907.06845.
    """

    fits: ClassVar = frozenset({Kind.UNIT})
    after: ClassVar = {Kind.BYTE: ("dequantize", "density"), Kind.LEVELS: ("dequantize", "density")}
    density: ClassVar = True

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        shift: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
    ) -> None:
        super().__init__(network, shape, 1, shift, scale)

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        (logits,) = self.emit(z, context)
        return AffineUnit(ContinuousBernoulli(logits), self.shift, self.scale)


@final
class AffineUnit(TransformedDistribution):
    """shift + scale * y for y in the unit interval, with the moments torch's own class does not give."""

    def __init__(self, base: ContinuousBernoulli, shift: Tensor, scale: Tensor) -> None:
        self.unit = base
        self.shift, self.width = shift, scale
        super().__init__(base, [AffineTransform(shift, scale)], validate_args=False)

    @property
    def mean(self) -> Tensor:
        return torch.addcmul(self.shift, self.width, self.unit.mean)

    @property
    def variance(self) -> Tensor:
        return self.width.square() * self.unit.variance

    @property
    def mode(self) -> Tensor:
        return torch.addcmul(self.shift, self.width, self.unit.mode)

    def log_prob(self, value: Tensor) -> Tensor:
        """log density of each cell in the data's own units, nats."""
        return self.unit.log_prob((value - self.shift) / self.width) - self.width.log()
