"""Drawing z from q, with or without its log-density: one function for every objective."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.core import Draw
from nelbo.errors import CompositionError


@runtime_checkable
class LocationScale(Protocol):
    """A distribution that makes a draw from given standard normal noise."""

    def from_noise(self, noise: Tensor) -> Tensor: ...


@runtime_checkable
class Stoppable(Protocol):
    """A distribution that can hold its own parameters constant (`can_stop`)."""

    def stopped(self) -> Distribution: ...


def rsample_with_log_prob(
    q: Distribution, samples: int, draw: Draw = Draw.PATHWISE, density: bool = True
) -> tuple[Tensor, Tensor | None]:
    """K draws of z and, if asked for, log q(z given x) of each.

    Returns
    -------
    z [K, B, D] and log_qz [K, B] (None where `density` is False).

    Raises
    ------
    CompositionError
        If q cannot be drawn the way the gradient estimator needs.
    """
    if draw is Draw.SCORE:
        z = q.sample((samples,))
    elif q.has_rsample:
        # Without broadcasting over one draw, whose gradient would be summed over it.
        z = q.rsample().unsqueeze(0) if samples == 1 else q.rsample((samples,))
    else:
        raise CompositionError(
            f"{type(q).__name__} has no reparameterised draw; use a score-function gradient (gradient=score)"
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


def draw_common(q: Distribution, samples: int, generator: torch.Generator) -> Tensor:
    """K draws [K, B, D] from noise that every row shares, so that a row's score does not depend on its neighbours.

    Raises
    ------
    CompositionError
        If q cannot make a draw from given noise.
    """
    if not isinstance(q, LocationScale):
        raise CompositionError(f"{type(q).__name__} cannot draw with noise common to all rows")
    dim = q.event_shape[0]
    noise = torch.randn(samples, 1, dim, generator=generator, dtype=q.mean.dtype).to(q.mean.device)
    return q.from_noise(noise)
