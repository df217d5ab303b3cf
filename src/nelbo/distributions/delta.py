"""All mass in one point."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.errors import CompositionError


@final
class Delta(Distribution):
    """The point `loc`: batch shape [B], event shape [D]. It has draws and moments, but no density."""

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor) -> None:
        self.loc = loc
        super().__init__(loc.shape[:-1], loc.shape[-1:], validate_args=False)

    def expand(
        self, batch_shape: Size | list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> Distribution:
        return Delta(self.loc.expand(Size(batch_shape) + self.event_shape))

    @property
    def mean(self) -> Tensor:
        return self.loc

    @property
    def mode(self) -> Tensor:
        return self.loc

    @property
    def variance(self) -> Tensor:
        return torch.zeros_like(self.loc)

    @property
    def stddev(self) -> Tensor:
        return torch.zeros_like(self.loc)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        return self.loc.expand(Size(sample_shape) + self.loc.shape)

    def from_noise(self, noise: Tensor) -> Tensor:
        """The point, whatever the noise [..., D]."""
        return self.loc + torch.zeros_like(noise)

    def log_prob(self, value: Tensor) -> Tensor:
        raise CompositionError(
            "a point posterior has no density, so there is no bound and no likelihood of an autoencoder; train it with "
            "--objective autoencoder, or give the posterior a spread (--posterior gaussian)"
        )
