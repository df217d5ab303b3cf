"""Latents drawn one group after the other, as one distribution over all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.drawing import FromNoise, SizedNoise, fixed_draws
from nelbo.errors import CompositionError
from nelbo.noise import apart


@final
class Chain(Distribution):
    r"""p(a, b) = p(a) p(b given a) over z = [a, b]: batch shape of a, event shape [D_a + D_b].

    Longer chains are chains of chains. Moments have no closed form in general: they are Monte Carlo, from fixed draws.

    Parameters
    ----------
    first
        p(a), with event shape [D_a].
    then
        From a, [..., D_a], to p(b given a) with batch shape [...] and event shape [D_b].
    size
        D_b.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector

    def __init__(self, first: Distribution, then: Callable[[Tensor], Distribution], size: int) -> None:
        self.first = first
        self.then = then
        self._split = first.event_shape[0]
        super().__init__(first.batch_shape, Size((self._split + size,)), validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        return self.first.has_rsample and self._second().has_rsample

    @property
    def top_down(self) -> Tensor:
        """The mean of each group given that of the one before, [..., D]: no mean of z, but one point of it."""
        a = self.first.top_down if isinstance(self.first, Chain) else self.first.mean
        b = self.then(a)
        return torch.cat([a, b.top_down if isinstance(b, Chain) else b.mean], -1)

    @property
    def mean(self) -> Tensor:
        """Monte Carlo, from draws whose noise is always the same."""
        return self._fixed().mean(0)

    @property
    def variance(self) -> Tensor:
        """Monte Carlo, as the mean."""
        return self._fixed().var(0)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        a = self.first.rsample(Size(sample_shape))
        return torch.cat([a, self.then(a).rsample()], -1)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        with torch.no_grad():
            a = self.first.sample(Size(sample_shape))
            return torch.cat([a, self.then(a).sample()], -1)

    @property
    def noise_size(self) -> int:
        """Standard normals that a draw takes."""
        return _noise_size(self.first) + _noise_size(self._second())

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., noise_size] gives."""
        own = _noise_size(self.first)
        a = _made(self.first, noise[..., :own])
        return torch.cat([a, _made(self.then(a), noise[..., own:])], -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(a) + log p(b given a), `[..., D] -> [...]`, nats."""
        a, b = value[..., : self._split], value[..., self._split :]
        log_p: Tensor = self.first.log_prob(a) + self.then(a).log_prob(b)
        return log_p

    def _some(self) -> Tensor:
        """Some a; torch's random state is left alone."""
        with torch.no_grad(), apart():
            return self.first.sample()

    def _second(self) -> Distribution:
        return self.then(self._some())

    def _fixed(self) -> Tensor:
        return fixed_draws(self, self._some())


def _noise_size(part: Distribution) -> int:
    return part.noise_size if isinstance(part, SizedNoise) else int(part.event_shape[0])


def _made(part: Distribution, noise: Tensor) -> Tensor:
    if not isinstance(part, FromNoise):
        raise CompositionError(f"{type(part).__name__} cannot draw with noise common to all rows")
    return part.from_noise(noise)
