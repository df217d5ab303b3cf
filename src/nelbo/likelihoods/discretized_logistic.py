"""The discretised logistic likelihood, for bytes and other evenly spaced levels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final, get_args

from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.discretized_logistic import DiscretizedLogistic
from nelbo.distributions.normal import LogVariance
from nelbo.errors import CompositionError, unknown
from nelbo.likelihoods.dispersion import Learned, Width, emitted_outputs
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.registry import register

START = -4.0  # of the log squared scale


@register("likelihood/discretized-logistic")
@final
class DiscretizedLogisticLikelihood(Elementwise):
    """p(x = k given z): a logistic around m(z) summed over the bins of `levels` levels.

    Reference measure: probability mass on 0 .. levels-1. The network's means are in scaled units (0 to 1 over the
    levels), as are the log-variances, log of the squared logistic scale.

    Parameters
    ----------
    network
        Emits means [N, P]; with `sigma="datum"` means, then log-variances: [N, 2 P].
    shape
        Shape of x.
    levels
        Number of levels; a byte has 256.
    sigma
        `shared`: one learned scale; `dimension`: one a cell; `datum`: from the network.
    min_log_variance
        Smooth lower bound of the log squared scale.

    References
    ----------
    Kingma et al. (2016), Improving variational inference with inverse autoregressive flow, arXiv:1606.04934,
    appendix C.5; Salimans et al. (2017), PixelCNN++, arXiv:1701.05517, section 2.1.
    """

    fits: ClassVar = frozenset({Kind.BYTE, Kind.LEVELS})
    density: ClassVar = False

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        levels: int = 256,
        sigma: Width = "datum",
        min_log_variance: float = -14.0,
    ) -> None:
        if sigma not in get_args(Width):
            raise unknown("sigma of the discretized-logistic likelihood", sigma, get_args(Width))
        if levels < 2:
            raise CompositionError(f"a discretised logistic needs 2 levels or more, but {levels} was given")
        super().__init__(network, shape, 1 + emitted_outputs(sigma))
        self.levels = levels
        self.log_variance = LogVariance(min_log_variance)
        self.per_datum = sigma == "datum"
        # A logistic scale of exp(-2) of the range: broad enough to feel every level at the start.
        size = self.cells if sigma == "dimension" else ()
        self.raw_log_variance = None if self.per_datum else Learned(size, START)

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 1 + emitted_outputs(options.get("sigma", "datum"))

    def forward(self, z: Tensor, context: Tensor | None = None) -> DiscretizedLogistic:
        emitted = self.emit(z, context)
        raw = emitted[1] + START if self.raw_log_variance is None else self.raw_log_variance()
        log_variance = self.log_variance(raw)
        steps = self.levels - 1
        return DiscretizedLogistic(emitted[0] * steps, 0.5 * log_variance + math.log(steps), self.levels)
