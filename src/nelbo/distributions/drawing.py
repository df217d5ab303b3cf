"""Drawing z from q, with or without its log-density: one function for every objective."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Size, Tensor
from torch.distributions import Distribution

from nelbo.core import Draw
from nelbo.errors import CompositionError

FIXED_DRAWS = 256  # for moments that have no closed form


@runtime_checkable
class FromNoise(Protocol):
    """A distribution that makes a draw from given standard normal noise, `[..., noise_size] -> [..., D]`.

    Where a draw takes more or fewer normals than it has dimensions, the distribution says so by `noise_size`; one
    that needs uniforms takes the normal distribution function of its noise.
    """

    def from_noise(self, noise: Tensor) -> Tensor: ...


@runtime_checkable
class SizedNoise(Protocol):
    """A distribution whose draws take another number of standard normals than D."""

    @property
    def noise_size(self) -> int: ...


@runtime_checkable
class Stoppable(Protocol):
    """A distribution that can hold its own parameters constant (`can_stop`)."""

    def stopped(self) -> Distribution: ...


@runtime_checkable
class OwnDensity(Protocol):
    """A distribution that knows the density of its own draws cheaper than that of any z (a flow)."""

    def rsample_with_log_prob(self, sample_shape: Size = ...) -> tuple[Tensor, Tensor]: ...

    def from_noise_with_log_prob(self, noise: Tensor) -> tuple[Tensor, Tensor]: ...


def rsample_with_log_prob(
    q: Distribution, samples: int, draw: Draw = Draw.PATHWISE, density: bool = True
) -> tuple[Tensor, Tensor | None]:
    """K draws of z and, if asked for, log q(z given x) of each.

    Returns
    -------
    z [K, B, D] and log_qz [K, B] (None where `density` is False). Where no gradient is recorded a draw is a draw,
    reparameterised or not.

    Raises
    ------
    CompositionError
        If q cannot be drawn the way the gradient estimator needs.
    """
    if density and draw is Draw.PATHWISE and isinstance(q, OwnDensity):
        return q.rsample_with_log_prob(Size((samples,)))
    if draw is Draw.SCORE:
        z = q.sample((samples,))
    elif q.has_rsample:
        # Without broadcasting over one draw, whose gradient would be summed over it.
        z = q.rsample().unsqueeze(0) if samples == 1 else q.rsample((samples,))
    elif not torch.is_grad_enabled():
        z = q.sample((samples,))
    else:
        raise CompositionError(
            f"{type(q).__name__} has no reparameterised draw; use a score function (gradient=nvil, gradient=vimco)"
        )
    if not density:
        return z, None
    if draw is not Draw.STOPPED:
        return z, q.log_prob(z)
    if isinstance(q, Stoppable):
        return z, q.stopped().log_prob(z)
    raise CompositionError(
        f"{type(q).__name__} cannot hold its parameters constant inside log q; use gradient=pathwise"
    )


def draw_common(
    q: Distribution, samples: int, generator: torch.Generator, like: Tensor | None = None, opposite: bool = False
) -> tuple[Tensor, Tensor]:
    """K draws [K, B, D] from noise that every row shares, and their log densities [K, B].

    With common noise a row's score does not depend on its neighbours. The noise has the type and the device of `like`,
    of the mean of q if left out (which some distributions draw to find). With `opposite` the negatives of the noise
    follow it: 2 K draws, whose mean has less error.

    Raises
    ------
    CompositionError
        If q cannot make a draw from given noise.
    """
    if not isinstance(q, FromNoise):
        raise CompositionError(f"{type(q).__name__} cannot draw with noise common to all rows")
    noise = _noise(q, (samples, 1), generator, q.mean if like is None else like)
    noise = torch.cat([noise, -noise]) if opposite else noise
    if isinstance(q, OwnDensity):
        return q.from_noise_with_log_prob(noise)
    # The draws of a row lie together, so that it is decoded without a copy.
    z = q.from_noise(noise).transpose(0, 1).contiguous().transpose(0, 1)
    return z, q.log_prob(z)


def fixed_draws(q: Distribution, like: Tensor) -> Tensor:
    """`FIXED_DRAWS` draws of a q that makes them from noise, [FIXED_DRAWS, *batch, D]; the noise is always the same."""
    assert isinstance(q, FromNoise)
    shape = (FIXED_DRAWS, *(1 for _ in q.batch_shape))
    return q.from_noise(_noise(q, shape, torch.Generator().manual_seed(0), like))


def _noise(q: Distribution, shape: tuple[int, ...], generator: torch.Generator, like: Tensor) -> Tensor:
    """Standard normals [*shape, as many as a draw takes], of the type and on the device of `like`."""
    size = q.noise_size if isinstance(q, SizedNoise) else q.event_shape[0]
    return torch.randn(*shape, size, generator=generator, dtype=like.dtype).to(like.device)
