"""The marginal of a latent-variable model: drawn exactly, scored by importance sampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, final

import numpy as np
import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.normal import DiagonalNormal, StandardNormal

STREAM = 7  # apart from other noise that starts from the same seed

Conditional = Callable[[Tensor], DiagonalNormal]


@final
class LatentMarginal(Distribution):
    r"""p(z) = integral of p(z given u) N(u; 0, I) du over D dimensions: event shape [D], batch shape [].

    `log_prob` is an estimate from S draws u_s ~ q(u given z),

        log (1/S) sum_s p(z given u_s) p(u_s) / q(u_s given z).

    Its exponential has the expectation p(z) for any S; it itself has an expectation at most log p(z), which it nears
    as S grows.

    Parameters
    ----------
    base
        p(u).
    encode, decode
        z [N, D] to q(u given z), u [N, L] to p(z given u).
    dim
        D.
    samples
        S.
    fresh
        Whether each z gets noise of its own from torch's global state (while training). Otherwise the noise is a
        function of torch's global seed and of all but the last axis of z's batch: rows [B] share it, so that none
        depends on its neighbours, and draws [K, B] do not, so that its error averages out over them.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector

    def __init__(
        self, base: StandardNormal, encode: Conditional, decode: Conditional, dim: int, samples: int, fresh: bool
    ) -> None:
        self.base = base
        self.encode, self.decode = encode, decode
        self.samples = samples
        self.fresh = fresh
        super().__init__(Size(()), Size((dim,)), validate_args=False)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        """First u, then z given u."""
        with torch.no_grad():
            shape = Size(sample_shape)
            u = self.base.sample(Size((shape.numel(),)))
            return self.decode(u).sample().view(*shape, *self.event_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The estimate above, `[..., D] -> [...]`, nats."""
        rows = value.shape[:-1]
        z = value.reshape(-1, value.shape[-1])
        q = self.encode(z)
        u = q.from_noise(self._noise(rows, q.loc))  # [S, N, L]
        log_pz = self.decode(u.flatten(0, 1)).log_prob(z.repeat(self.samples, 1)).view(self.samples, -1)
        log_w = log_pz + self.base.log_prob(u) - q.log_prob(u)
        return (torch.logsumexp(log_w, 0) - math.log(self.samples)).view(rows)

    def _noise(self, rows: Size, like: Tensor) -> Tensor:
        """Standard normals [S, N, L] for z of batch shape `rows`."""
        size = like.shape[-1]
        if self.fresh:
            return torch.randn(self.samples, *like.shape, dtype=like.dtype, device=like.device)
        # Mixed: from the seed itself it could be the noise of the very draws that are scored.
        mixed = np.random.SeedSequence((torch.initial_seed() % 2**64, STREAM)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(mixed[0] >> np.uint64(1)))
        shared = (*rows[:-1], 1) if rows else ()
        noise = torch.randn(self.samples, *shared, size, generator=generator, dtype=like.dtype).to(like.device)
        return noise.expand(self.samples, *rows, size).reshape(self.samples, -1, size)
