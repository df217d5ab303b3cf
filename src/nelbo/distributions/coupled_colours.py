"""Mixtures of discretised logistics over whole pixels, the colours coupled within each component."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.discretized_logistic import DiscretizedLogistic
from nelbo.distributions.levels import drawn_level
from nelbo.distributions.logistic_mixture import LogisticMixture


@final
class CoupledColours(Distribution):
    r"""P(r, g, b) = sum_c pi_c P_c(r) P_c(g given r) P_c(b given r, g) for every pixel, each colour 0 .. L-1.

    Within component c each colour is a discretised logistic whose location moves with the colours before it, counted
    from the middle m = (L - 1) / 2 of the range:

        loc_g + alpha (r - m)   and   loc_b + beta (r - m) + gamma (g - m).

    One pixel is one cell: values have shape `[..., 3, H, W]`, `log_prob` `[..., H, W]`.

    Parameters
    ----------
    log_weights [N, H, W, C]
        Unnormalised.
    loc, log_scale [N, 3, H, W, C]
        In levels.
    coupling [N, 3, H, W, C]
        alpha, beta, gamma.
    levels
        L.

    References
    ----------
    Salimans et al. (2017), PixelCNN++, arXiv:1701.05517, section 2.2.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, log_weights: Tensor, loc: Tensor, log_scale: Tensor, coupling: Tensor, levels: int) -> None:
        self.log_weights = torch.log_softmax(log_weights, -1)
        self.loc = loc
        self.log_scale = log_scale
        self.coupling = coupling
        self.levels = levels
        super().__init__(loc.shape[:-1], validate_args=False)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.levels - 1)  # type: ignore[no-untyped-call]

    @property
    def mean(self) -> Tensor:
        """The mean of each colour; of g and b with the colours before them at their mean within each component.

        Exact but for the open end bins, which bend the dependence on the colours before.
        """
        colours: list[Tensor] = []
        for channel in range(3):
            centred = [colour - self._middle for colour in colours]
            colours.append(self._component(channel, centred).mean)
        return (self.log_weights.exp().unsqueeze(1) * torch.stack(colours, 1)).sum(-1)

    @property
    def mode(self) -> Tensor:
        """The most probable red, then green given that red, then blue given both."""
        colours: list[Tensor] = []
        log_weights = self.log_weights
        for channel in range(3):
            component = self._component(channel, self._centred(colours))
            colours.append(LogisticMixture(log_weights, component.loc, component.log_scale, self.levels).mode)
            log_weights = log_weights + component.log_prob(colours[-1].unsqueeze(-1))
        return torch.stack(colours, -3)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            chosen = drawn_level(self.log_weights, Size(sample_shape)).unsqueeze(-1)
            colours: list[Tensor] = []
            for channel in range(3):
                component = self._component(channel, self._centred(colours))
                draws = component.sample(Size(sample_shape) if channel == 0 else Size())
                colours.append(draws.gather(-1, chosen).squeeze(-1))
            return torch.stack(colours, -3)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(pixel) `[..., H, W]`, nats; `value` `[..., 3, H, W]` holds whole numbers 0 .. L-1."""
        colours = list(value.unbind(-3))
        total = self.log_weights
        for channel, colour in enumerate(colours):
            component = self._component(channel, self._centred(colours[:channel]))
            total = total + component.log_prob(colour.unsqueeze(-1))
        return torch.logsumexp(total, -1)

    @property
    def _middle(self) -> float:
        return (self.levels - 1) / 2

    def _centred(self, colours: list[Tensor]) -> list[Tensor]:
        return [colour.unsqueeze(-1) - self._middle for colour in colours]

    def _component(self, channel: int, before: list[Tensor]) -> DiscretizedLogistic:
        """Every component's law of one colour given the (centred) colours before it, [..., H, W, C]."""
        loc = self.loc[:, channel]
        first = channel * (channel - 1) // 2  # alpha for g; beta, gamma for b
        for i, colour in enumerate(before):
            loc = loc + self.coupling[:, first + i] * colour
        return DiscretizedLogistic(loc, self.log_scale[:, channel].expand_as(loc), self.levels)
