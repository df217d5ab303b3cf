"""The beta-binomial on L levels, by logit mean and log precision."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.beta import draw_share, log_beta, log_shapes
from nelbo.distributions.modes import likeliest


@final
class BetaBinomial(Distribution):
    r"""P(k) = C(t, k) B(k + a, t - k + b) / B(a, b), k = 0 .. t = L - 1, with a = m n, b = (1 - m) n, in float64.

    A binomial of t trials whose probability is Beta(a, b): mean t m, variance t m (1 - m) (n + t) / (n + 1). With
    a = b = 1 it is uniform; for n to infinity it is the binomial, its narrowest; for n to 0 all mass is on the ends.

    Parameters
    ----------
    logit_mean, log_precision
        log(m / (1 - m)) and log n; the latter broadcasts, and the batch shape is that of the mean.
    levels
        L; a byte has 256.

    References
    ----------
    Skellam (1948), A probability distribution derived from the binomial distribution.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, logit_mean: Tensor, log_precision: Tensor, levels: int) -> None:
        self.logit_mean = logit_mean
        self.log_precision = log_precision
        self.levels = levels
        super().__init__(logit_mean.shape, validate_args=False)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.levels - 1)  # type: ignore[no-untyped-call]

    @property
    def mean(self) -> Tensor:
        return (self.levels - 1) * torch.sigmoid(self.logit_mean)

    @property
    def variance(self) -> Tensor:
        trials, precision = self.levels - 1, self.log_precision.exp()
        spread = torch.sigmoid(self.logit_mean) * torch.sigmoid(-self.logit_mean)
        return trials * spread * (precision + trials) / (precision + 1)

    @property
    def mode(self) -> Tensor:
        """The best of 0, t and the peak floor(L (a - 1) / (n - 2)), which there is where a and b are above 1."""
        log_a, log_b = log_shapes(self.logit_mean, self.log_precision)
        peaked = (log_a > 0) & (log_b > 0)
        above = torch.expm1(log_a).where(peaked, 0.0)
        share = above / (above + torch.expm1(log_b).where(peaked, 1.0))
        peak = torch.floor(self.levels * share).clamp(max=self.levels - 1)
        return likeliest(self, [peak, torch.zeros_like(peak), torch.full_like(peak, self.levels - 1)])

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            share = draw_share(self.logit_mean, self.log_precision, Size(sample_shape))
            return torch.binomial(torch.full_like(share, self.levels - 1), share)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value) of each cell, nats; `value` holds whole numbers 0 .. L-1."""
        log_a, log_b = log_shapes(self.logit_mean.double(), self.log_precision.double())
        a, b = log_a.exp(), log_b.exp()
        hits = value.double()
        misses = self.levels - 1 - hits
        # C(t, k) = 1 / ((t + 1) B(k + 1, t - k + 1))
        ways = -log_beta(hits + 1, misses + 1) - torch.log(hits + misses + 1)
        return (ways + log_beta(hits + a, misses + b) - log_beta(a, b)).to(self.logit_mean.dtype)
