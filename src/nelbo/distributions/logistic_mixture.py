"""Mixtures of discretised logistics: several peaks on a scale of levels, with coupled colours."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.discretized_logistic import DiscretizedLogistic
from nelbo.distributions.levels import drawn_level


@final
class LogisticMixture(Distribution):
    r"""P(x = k) = sum_c pi_c DiscretizedLogistic(k; loc_c, scale_c) for every cell, k = 0 .. L-1.

    Parameters
    ----------
    log_weights, loc, log_scale [..., C]
        Unnormalised log weights; locations and log scales in levels. The batch shape is theirs without C.
    levels
        L.

    References
    ----------
    Salimans et al. (2017), PixelCNN++, arXiv:1701.05517, section 2.1.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, log_weights: Tensor, loc: Tensor, log_scale: Tensor, levels: int) -> None:
        self.log_weights = torch.log_softmax(log_weights, -1)
        self.components = DiscretizedLogistic(loc, log_scale, levels)
        self.levels = levels
        super().__init__(loc.shape[:-1], validate_args=False)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.levels - 1)  # type: ignore[no-untyped-call]

    @property
    def mean(self) -> Tensor:
        return (self.log_weights.exp() * self.components.mean).sum(-1)

    @property
    def mode(self) -> Tensor:
        """By trying every level, in the memory of one."""
        best = torch.zeros_like(self.components.loc[..., 0])
        highest = self.log_prob(best)
        for level in range(1, self.levels):
            candidate = torch.full_like(best, level)
            log_mass = self.log_prob(candidate)
            best = torch.where(log_mass > highest, candidate, best)
            highest = torch.maximum(highest, log_mass)
        return best

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            draws = self.components.sample(sample_shape)
            chosen = drawn_level(self.log_weights, Size(sample_shape))
            return draws.gather(-1, chosen.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value) of each cell, nats; `value` holds whole numbers 0 .. L-1."""
        return torch.logsumexp(self.log_weights + self.components.log_prob(value.unsqueeze(-1)), -1)
