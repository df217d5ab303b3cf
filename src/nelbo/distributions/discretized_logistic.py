"""A logistic density summed over the bins of L evenly spaced levels."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.modes import likeliest
from nelbo.distributions.special import log1mexp


@final
class DiscretizedLogistic(Distribution):
    r"""P(x = k) = sigmoid((k + 1/2 - loc) / s) - sigmoid((k - 1/2 - loc) / s), k = 0 .. L-1, the end bins open.

    Written with a = (k + 1/2 - loc) / s and b = (k - 1/2 - loc) / s as

        log P = log sigmoid(a) + log sigmoid(-b) + log(1 - exp(-1 / s)),

    which is exact (the difference of two sigmoids factorises so) and never takes the logarithm of a difference
    that rounds to zero. The lowest level keeps only the first term, the highest only the second.

    Parameters
    ----------
    loc, log_scale
        Location and log of the logistic scale s, in levels; they broadcast against each other.
    levels
        L; a byte has 256.

    References
    ----------
    Kingma et al. (2016), Improving variational inference with inverse autoregressive flow, appendix C.5;
    Salimans et al. (2017), PixelCNN++, arXiv:1701.05517, section 2.1.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, loc: Tensor, log_scale: Tensor, levels: int) -> None:
        self.loc = loc
        self.log_scale = log_scale
        self.levels = levels
        super().__init__(loc.shape, validate_args=False)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.levels - 1)  # type: ignore[no-untyped-call]

    @property
    def mean(self) -> Tensor:
        """sum_k P(x > k), the mean of a variable on 0 .. L-1; summed level by level, in the memory of one cell."""
        inverse = torch.exp(-self.log_scale)
        total = torch.zeros_like(self.loc)
        for level in range(self.levels - 1):
            total += torch.sigmoid((self.loc - (level + 0.5)) * inverse)
        return total

    @property
    def mode(self) -> Tensor:
        """The level with the largest mass: an open end bin can beat the bin that holds the location."""
        inner = self.loc.round().clamp(0, self.levels - 1)
        return likeliest(self, [inner, torch.zeros_like(inner), torch.full_like(inner, self.levels - 1)])

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            shape = Size(sample_shape) + self.loc.shape
            u = torch.rand(shape, dtype=self.loc.dtype, device=self.loc.device).clamp(1e-7, 1 - 1e-7)
            logistic = self.loc + self.log_scale.exp() * torch.logit(u)
            return logistic.round().clamp(0, self.levels - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value) of each cell, nats; `value` holds whole numbers 0 .. L-1."""
        inverse = torch.exp(-self.log_scale)
        centred = value - self.loc
        below = F.logsigmoid((centred + 0.5) * inverse)  # log P(x <= value)
        above = F.logsigmoid((0.5 - centred) * inverse)  # log P(x >= value)
        width = log1mexp(-inverse)
        inner = below + above + width
        return torch.where(value <= 0, below, torch.where(value >= self.levels - 1, above, inner))
