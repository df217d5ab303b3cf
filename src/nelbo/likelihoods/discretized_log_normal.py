"""The discretised log-normal likelihood: a Gaussian on log(1 + x), as a probability mass of counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.discretized_log_normal import DiscretizedLogNormal
from nelbo.distributions.normal import LogVariance
from nelbo.likelihoods.dispersion import Dispersion, Width, emitted_outputs
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.registry import register


@register("likelihood/discretized-log-normal")
@final
class DiscretizedLogNormalLikelihood(Elementwise):
    r"""p(x = k given z) = Phi((log(k + 3/2) - l) / t) - Phi((log(k + 1/2) - l) / t), k = 0 without the second term.

    l = shift + scale m(z) and t = scale s are mean and standard deviation of log(1 + v), of which x is the rounded v.
    Reference measure: probability mass on 0, 1, 2, ... It is the Gaussian after `--transform log1p` with each count
    given the interval around it, and 0 all that is below 1/2: the same network gives a mass that can be compared with
    other masses, where the density of a column that is mostly zeros can grow without limit as s falls.

    Parameters
    ----------
    network
        Emits means of (log(1 + x) - shift) / scale, [N, P]; with `sigma="datum"` log-variances as well, [N, 2 P].
    shape
        Shape of x.
    sigma
        `shared`: one learned s; `dimension`: one a cell; `datum`: s(z) from the network.
    log_shift, log_scale
        Shift and scale of log(1 + x): by default the network works in its own units.
    min_log_variance
        Smooth lower bound of log s^2.

    References
    ----------
    Chakraborty (2015), Generating discrete analogues of continuous probability distributions: a survey.
    """

    fits: ClassVar = frozenset({Kind.COUNT})
    density: ClassVar = False

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        sigma: Width = "dimension",
        log_shift: float | Sequence[float] = 0.0,
        log_scale: float | Sequence[float] = 1.0,
        min_log_variance: float = -14.0,
    ) -> None:
        super().__init__(network, shape, 1 + emitted_outputs(sigma), log_shift, log_scale)
        self.dispersion = Dispersion("sigma of the discretized-log-normal likelihood", sigma, self.cells)
        self.log_variance = LogVariance(min_log_variance)

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 1 + emitted_outputs(options.get("sigma", "dimension"))

    def forward(self, z: Tensor, context: Tensor | None = None) -> DiscretizedLogNormal:
        emitted = self.emit(z, context)
        log_s = 0.5 * self.log_variance(self.dispersion(emitted))
        return DiscretizedLogNormal(self.shift + self.scale * emitted[0], log_s + self.scale.log())
