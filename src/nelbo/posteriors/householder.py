"""The Householder flow posterior."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from nelbo.arguments import Count
from nelbo.distributions.bijections import Householder
from nelbo.distributions.flows import Pushed
from nelbo.distributions.normal import DiagonalNormal, Variance
from nelbo.errors import ConfigError
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


@register("posterior/householder")
@final
class HouseholderPosterior(Amortised):
    r"""e ~ N(mu(x), diag(sigma^2(x))), then `steps` reflections: a Gaussian whose axes are turned.

    e <- e - 2 v_i v_i'e / |v_i|^2 with v_1 = h(x) and v_i an affine function of v_{i-1}. D reflections give any
    rotation; a draw costs O(D) a step, and nothing is added to the log density.

    Parameters
    ----------
    network
        Emits [N, 3 D]: means, log-variances, and the first vector v_1.
    dim
        D.
    steps
        Number of reflections.
    min_log_variance
        Smooth lower bound of the log-variances of the base.

    References
    ----------
    Tomczak and Welling (2016), Improving variational auto-encoders using Householder flow, arXiv:1611.09630,
    section 3.
    """

    def __init__(self, network: nn.Module, dim: int, steps: Count = 4, min_log_variance: float = -14.0) -> None:
        super().__init__("a Householder posterior", network, dim, self.outputs(dim))
        if steps < 1:
            raise ConfigError(
                f"a Householder flow needs 1 step or more, but {steps} was given; use e.g. "
                "--posterior householder:steps=4"
            )
        self.variance = Variance(min_log_variance)
        self.next = nn.ModuleList(nn.Linear(dim, dim) for _ in range(steps - 1))

    @classmethod
    def outputs(cls, dim: int) -> int:
        return 3 * dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Pushed:
        loc, raw, v = self.emit(x, context).chunk(3, -1)
        variance = self.variance(raw)
        reflections = [Householder(v)]
        for layer in self.next:
            v = layer(v)
            reflections.append(Householder(v))
        return Pushed(DiagonalNormal(loc, variance.log(), variance), reflections)
