"""The log-normal rounded to counts: a Gaussian on log(1 + x) as a probability mass."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.modes import likeliest
from nelbo.distributions.normal import HALF_LOG_2PI
from nelbo.distributions.special import log1mexp

SUMMED = 64  # terms of the mean summed one by one
NARROW = 1e-4  # standard deviations; over a narrower interval the density is an exponential for all digits
LARGEST = 80.0  # of the logarithm of a draw or a mode: its exponential is finite in single precision


@final
class DiscretizedLogNormal(Distribution):
    r"""x = v rounded to the nearest of 0, 1, 2, ... with log(1 + v) ~ N(loc, s^2); all that is below 1/2 counts as 0.

        P(x = k) = Phi(b) - Phi(a),  a = (log(k + 1/2) - loc) / s,  b = (log(k + 3/2) - loc) / s,  P(0) = Phi(b).

    The width w = b - a is taken as log(1 + 1 / (k + 1/2)) / s, where no digits cancel. From the side on which both
    terms are small, log P = log Phi(b) + log(1 - exp(log Phi(a) - log Phi(b))); over a narrow interval around its
    middle c the density is exp(-c t) times that at c, so that log P = log phi(c) + log w + log(sinh(u) / u) with
    u = c w / 2, within w^2 / 8. Both are in float64.

    Parameters
    ----------
    loc, log_scale
        Mean and log standard deviation s of log(1 + v); they broadcast, and the batch shape is that of the mean.

    References
    ----------
    Chakraborty (2015), Generating discrete analogues of continuous probability distributions: a survey (by differences
    of the distribution function).
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.nonnegative_integer

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc = loc
        self.log_scale = log_scale
        super().__init__(loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """sum_k P(x > k): the first terms one by one, the others by their integral E (v - K)_+.

        The integral differs from its sum by the midpoint rule alone: by a 24th of the density of v at K = 64 where that
        is smooth, and by 1/2 at most, which is what rounding can do.
        """
        loc, scale = self.loc.double(), self.log_scale.double().exp()
        beyond = (loc - math.log(SUMMED + 1)) / scale
        rest = torch.exp(loc + 0.5 * scale.square() + torch.special.log_ndtr(beyond + scale))
        total: Tensor = rest - (SUMMED + 1) * torch.special.ndtr(beyond)
        for k in range(SUMMED):
            total = total + torch.special.ndtr((loc - math.log(k + 1.5)) / scale)
        return total.to(self.loc.dtype)

    @property
    def mode(self) -> Tensor:
        """That of v rounded, or one of its neighbours, or 0, whose interval is open."""
        peak = torch.exp((self.loc - torch.exp(2 * self.log_scale)).clamp(max=LARGEST))
        near = (peak - 1).round()
        return likeliest(self, [each.clamp(min=0.0) for each in (torch.zeros_like(near), near - 1, near, near + 1)])

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            noise = torch.randn(*sample_shape, *self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
            log_v = torch.addcmul(self.loc, self.log_scale.exp(), noise).clamp(max=LARGEST)
            return torch.expm1(log_v).round().clamp(min=0.0)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value) of each cell, nats; `value` holds whole numbers."""
        x, inverse = value.double(), torch.exp(-self.log_scale.double())
        low = (torch.log(x + 0.5) - self.loc.double()) * inverse
        width = torch.log1p(1 / (x + 0.5)) * inverse
        high = low + width
        flip = (low > 0) & (x > 0)
        near, far = torch.where(flip, -low, high), torch.where(flip, -high, low)
        log_near = torch.special.log_ndtr(near)
        narrow = width < NARROW
        # The gap is kept off 0 where another form is taken: the gradient of its logarithm would be a NaN.
        gap = (torch.special.log_ndtr(far) - log_near).where(~narrow & (x > 0), -1.0)
        wide = log_near + log1mexp(gap)
        middle, safe = low + 0.5 * width, torch.where(narrow, width, NARROW)
        slim = -0.5 * middle.square() - HALF_LOG_2PI + safe.log() + _log_sinhc(0.5 * middle * safe)
        inner = torch.where(narrow, slim, wide)
        return torch.where(x > 0, inner, log_near).to(self.loc.dtype)


def _log_sinhc(u: Tensor) -> Tensor:
    """log(sinh(u) / u), even, 0 at 0; a series for small u."""
    small = u.abs() < 0.1
    square = torch.where(small, u, 0.0).square()
    series = square * (1 / 6 - square * (1 / 180 - square / 2835))
    size = torch.where(small, 1.0, u).abs()
    return torch.where(small, series, size + log1mexp(-2 * size) - math.log(2) - size.log())
