"""A free probability for each of L levels."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint


@final
class Levels(Distribution):
    """P(x = k) = softmax(logits)_k for every cell, k = 0 .. L-1; levels may have no order.

    Parameters
    ----------
    logits [..., L]
        They need not be normalised; the batch shape is theirs without the last dimension.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}

    def __init__(self, logits: Tensor) -> None:
        self.log_mass = torch.log_softmax(logits, -1)
        super().__init__(logits.shape[:-1], validate_args=False)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Constraint:
        return constraints.integer_interval(0, self.log_mass.shape[-1] - 1)  # type: ignore[no-untyped-call]

    @property
    def mean(self) -> Tensor:
        """Of the level numbers, which says something where the levels have an order."""
        numbers = torch.arange(self.log_mass.shape[-1], dtype=self.log_mass.dtype, device=self.log_mass.device)
        return (self.log_mass.exp() * numbers).sum(-1)

    @property
    def mode(self) -> Tensor:
        return self.log_mass.argmax(-1).to(self.log_mass.dtype)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            return drawn_level(self.log_mass, Size(sample_shape)).to(self.log_mass.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x = value) of each cell, nats; `value` holds whole numbers 0 .. L-1."""
        codes = value.long().unsqueeze(-1)
        table = self.log_mass.expand(*codes.shape[:-1], self.log_mass.shape[-1])
        return table.gather(-1, codes).squeeze(-1)


def drawn_level(log_mass: Tensor, sample_shape: Size) -> Tensor:
    """Whole numbers k, each with probability exp(log_mass_k), `[..., L] -> [*sample_shape, ...]`.

    It is the k of the largest log_mass_k + g_k with standard Gumbel noise g.
    """
    shape = sample_shape + log_mass.shape
    gumbel = -torch.empty(shape, dtype=log_mass.dtype, device=log_mass.device).exponential_().log()
    return (log_mass + gumbel).argmax(-1)
