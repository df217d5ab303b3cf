"""Relaxed one-hot codes in groups, kept as logarithms: the (Exp)Concrete or Gumbel-softmax distribution."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.drawing import fixed_draws
from nelbo.distributions.groups import grouped
from nelbo.distributions.location_scale import standard_gumbel


@final
class LogConcrete(Distribution):
    r"""y = log_softmax((logits + g) / temperature) in each group, g standard Gumbel: batch shape [B], event shape [D].

    D holds G groups of n categories, one after the other. exp(y) are the relaxed codes, on the simplex; y is kept
    because a code near a corner has entries that underflow. Over the n - 1 log-ratios y_k - y_n of each group,

        log p(y) = log Gamma(n) + (n - 1) log temperature + sum_k log_softmax(logits - temperature y)_k.

    The largest entry is the k-th with probability softmax(logits)_k at any temperature.

    Parameters
    ----------
    logits [..., G, n]
        Unnormalised log-probabilities of the categories.
    temperature
        Above 0; the nearer to it, the nearer the codes are to one-hot.

    References
    ----------
    Maddison, Mnih and Teh (2017), The concrete distribution, arXiv:1611.00712, section 3.2 and appendix C.3; Jang, Gu
    and Poole (2017), Categorical reparameterization with Gumbel-softmax, arXiv:1611.01144.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float) -> None:
        self.logits = logits
        self.temperature = temperature
        super().__init__(logits.shape[:-2], Size((logits.shape[-2] * logits.shape[-1],)), validate_args=False)

    def expand(
        self, batch_shape: Size | list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> Distribution:
        return LogConcrete(self.logits.expand(*batch_shape, *self.logits.shape[-2:]), self.temperature)

    @property
    def mean(self) -> Tensor:
        """E[y], Monte Carlo from `FIXED_DRAWS` draws whose noise is always the same."""
        return fixed_draws(self, self.logits).mean(0)

    @property
    def variance(self) -> Tensor:
        """Monte Carlo, as the mean."""
        return fixed_draws(self, self.logits).var(0)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        return self.from_noise(torch.randn(shape, dtype=self.logits.dtype, device=self.logits.device))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., D] gives, with g = -log(-log Phi(noise))."""
        perturbed = self.logits + grouped(standard_gumbel(noise), self.logits.shape[-2])
        return torch.log_softmax(perturbed / self.temperature, -1).flatten(-2)

    def stopped(self) -> LogConcrete:
        """The same distribution with its parameters constant."""
        return LogConcrete(self.logits.detach(), self.temperature)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value), `[..., D] -> [...]`, nats, over the log-ratios y_k - y_n of each group."""
        groups, n = self.logits.shape[-2:]
        constant = math.lgamma(n) + (n - 1) * math.log(self.temperature)
        shares = torch.log_softmax(self.logits - self.temperature * grouped(value, groups), -1)
        return shares.sum((-2, -1)) + groups * constant
