"""The log-normal likelihood, for positive values whose errors are relative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

from torch import Tensor, nn

from nelbo.data.spec import Kind
from nelbo.distributions.log_normal import LogNormal
from nelbo.distributions.normal import LogVariance
from nelbo.likelihoods.dispersion import Dispersion, Width, emitted_outputs
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.registry import register


@register("likelihood/log-normal")
@final
class LogNormalLikelihood(Elementwise):
    r"""log x = log(scale) + m(z) + s e with e standard normal, for every cell.

    Reference measure: Lebesgue, in the data's own units. It is the Gaussian after `--transform log`, but the network
    that encodes sees x itself.

    Parameters
    ----------
    network
        Emits log medians [N, P], above log(scale); with `sigma="datum"` log variances of log x as well, [N, 2 P].
    shape
        Shape of x.
    sigma
        `shared`: one learned s; `dimension`: one a cell; `datum`: s(z) from the network.
    scale
        The size of each cell's values (their standard deviation), so that an output of 0 means a value of that size.
    min_log_variance
        Smooth lower bound of log s^2.

    References
    ----------
    Nazabal et al. (2020), Handling incomplete heterogeneous data using VAEs, arXiv:1807.03653.
    """

    fits: ClassVar = frozenset({Kind.POSITIVE})
    density: ClassVar = True

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        sigma: Width = "dimension",
        scale: float | Sequence[float] = 1.0,
        min_log_variance: float = -14.0,
    ) -> None:
        super().__init__(network, shape, 1 + emitted_outputs(sigma), scale=scale)
        self.dispersion = Dispersion("sigma of the log-normal likelihood", sigma, self.cells)
        self.log_variance = LogVariance(min_log_variance)

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        return 1 + emitted_outputs(options.get("sigma", "dimension"))

    def forward(self, z: Tensor, context: Tensor | None = None) -> LogNormal:
        emitted = self.emit(z, context)
        return LogNormal(emitted[0] + self.scale.log(), 0.5 * self.log_variance(self.dispersion(emitted)))
