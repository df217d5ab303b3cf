"""The mixture of discretised logistics, for bytes and levels with several peaks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.data.spec import Kind
from nelbo.distributions.coupled_colours import CoupledColours
from nelbo.distributions.logistic_mixture import LogisticMixture
from nelbo.distributions.normal import LogVariance
from nelbo.errors import CompositionError
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.registry import register


@register("likelihood/discretized-logistic-mixture")
@final
class DiscretizedLogisticMixtureLikelihood(Elementwise):
    r"""p(x = k given z) = sum_c pi_c(z) logistic_c summed over the bin of level k, for every cell.

    A cell is a value, or a whole pixel where the data are colour images: its colours then share the component, and
    within it green depends on red, blue on both (`CoupledColours`). Reference measure: probability mass on
    0 .. levels-1 (on triples of them for a pixel). Locations start spread over the range; with locations that start
    equal every component would get the same gradient.

    Parameters
    ----------
    network
        Emits log weights, locations (0 to 1 over the levels) and log squared scales, [N, 3 components P]; for colours
        also the coupling before its tanh, [N, 4 components P], and the log weights of a pixel are summed over colours.
    shape
        Shape of x.
    levels
        Number of levels; a byte has 256.
    components
        C.
    min_log_variance
        Smooth lower bound of the log squared scales.

    References
    ----------
    Salimans et al. (2017), PixelCNN++, arXiv:1701.05517, sections 2.1 and 2.2.
    """

    fits: ClassVar = frozenset({Kind.BYTE, Kind.LEVELS})
    density: ClassVar = False

    starts: Tensor

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        levels: int = 256,
        components: int = 5,
        min_log_variance: float = -14.0,
    ) -> None:
        if levels < 2 or components < 1:
            raise CompositionError(
                f"a mixture of discretised logistics needs 2 levels and 1 component or more, but {levels} and "
                f"{components} were given; use e.g. --likelihood discretized-logistic-mixture:components=5"
            )
        colours = _has_colours(shape)
        super().__init__(network, shape, (4 if colours else 3) * components)
        self.cells = tuple(shape)[1:] if colours else tuple(shape)
        self.levels = levels
        self.components = components
        self.log_variance = LogVariance(min_log_variance)
        self.register_buffer("starts", (torch.arange(components) + 0.5) / components, persistent=False)

    @classmethod
    def outputs_per_cell(cls, options: Mapping[str, Any]) -> int:
        components: int = max(1, options.get("components", 5))
        return (4 if _has_colours(options["shape"]) else 3) * components

    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        emitted = torch.stack(self.emit(z, context), -1)
        log_weights, loc, raw, *coupling = torch.split(emitted, self.components, -1)
        steps = self.levels - 1
        loc = (loc + self.starts) * steps
        # A logistic scale of exp(-2) of the range at the start, as for a single one.
        log_scale = 0.5 * self.log_variance(raw - 4.0) + math.log(steps)
        if not coupling:
            return LogisticMixture(log_weights, loc, log_scale, self.levels)
        return CoupledColours(log_weights.sum(1), loc, log_scale, torch.tanh(coupling[0]), self.levels)


def _has_colours(shape: Sequence[int]) -> bool:
    return len(shape) == 3 and shape[0] == 3
