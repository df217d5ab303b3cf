"""Hamiltonian Monte Carlo for many chains of many rows at once, along a path between two densities."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

JITTER = 0.2  # step sizes vary by this share, so that no orbit closes on itself
ACCEPTED = 0.65  # share of proposals that step sizes aim at; Wu et al. (2017), section 4.2
PACE = 0.3  # of the adaptation, in log step size for a share of proposals


@final
@dataclass(frozen=True, eq=False)
class Point:
    """Where chains stand: K of B rows each."""

    z: Tensor  # [K, B, D]
    first: Tensor  # [K, B]  log density at the start of the path
    last: Tensor  # [K, B]  at its end
    slope_first: Tensor  # [K, B, D]
    slope_last: Tensor  # [K, B, D]

    def log_density(self, beta: float) -> Tensor:
        """(1 - beta) log first + beta log last, [K, B]."""
        return torch.lerp(self.first, self.last, beta)

    def slope(self, beta: float) -> Tensor:
        return torch.lerp(self.slope_first, self.slope_last, beta)

    def chosen(self, chains: Tensor) -> Point:
        """For each row the chains of some numbers, [K, B], which may repeat."""
        wide = chains.unsqueeze(-1)
        return Point(
            self.z.take_along_dim(wide, 0),
            self.first.take_along_dim(chains, 0),
            self.last.take_along_dim(chains, 0),
            self.slope_first.take_along_dim(wide, 0),
            self.slope_last.take_along_dim(wide, 0),
        )


def resampled(log_w: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers of the chains drawn anew by their weights, [K, B]: systematic, with one uniform number for all rows.

    References
    ----------
    Kitagawa (1996), Monte Carlo filter and smoother, appendix.
    """
    shares = torch.softmax(log_w, 0).cumsum(0)  # [K, B]
    chains = len(log_w)
    places = (torch.arange(chains, dtype=torch.float64) + torch.rand((), generator=generator).double()) / chains
    found = torch.searchsorted(shares.T.contiguous().cpu(), places.expand(log_w.shape[1], -1).contiguous())
    return found.clamp(max=chains - 1).T.to(log_w.device)


@final
@dataclass(frozen=True, eq=False)
class Target:
    """The two ends of the path, and the inverse mass of each row's dimensions."""

    first: Callable[[Tensor], Tensor]  # [K, B, D] -> [K, B]
    last: Callable[[Tensor], Tensor]
    inverse_mass: Tensor  # [B, D], near the variance of where chains go

    def at(self, z: Tensor) -> Point:
        """Both log densities and their slopes at z [K, B, D]."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            values = [self.first(z), self.last(z)]
            slopes = [torch.autograd.grad(value.sum(), z)[0] for value in values]
        return Point(z.detach(), values[0].detach(), values[1].detach(), slopes[0], slopes[1])


@torch.no_grad()
def transition(
    target: Target,
    point: Point,
    beta: float,
    step: Tensor,
    leapfrog: int,
    generator: torch.Generator,
    shared: bool = True,
) -> tuple[Point, Tensor]:
    """One Hamiltonian transition that leaves the density at `beta` as it is, and which chains took it [K, B].

    A proposal whose density is not finite is left.

    Parameters
    ----------
    step
        [B], in standard deviations of the momenta's metric.
    shared
        Whether momenta and uniforms are common to all rows, so that a row's chain does not depend on its neighbours.

    References
    ----------
    Neal (2011), MCMC using Hamiltonian dynamics, arXiv:1206.1901, section 3.2.
    """
    chains, rows, dim = point.z.shape
    number, device = point.z.dtype, point.z.device
    rows = 1 if shared else rows
    noise = torch.randn(chains, rows, dim, generator=generator, dtype=number).to(device)
    jitter = 1 + JITTER * (2 * torch.rand(chains, rows, 1, generator=generator, dtype=number) - 1).to(device)
    threshold = torch.rand(chains, rows, generator=generator, dtype=number).log().to(device)
    width = target.inverse_mass.sqrt()
    size = jitter * step.to(number).unsqueeze(-1)  # [K, B, 1]
    # In units of the metric: velocity v has unit variance, z moves by width * v.
    v = noise.expand_as(point.z) + 0.5 * size * width * point.slope(beta)
    moved = point
    for i in range(leapfrog):
        moved = target.at(moved.z + size * width * v)
        share = 0.5 if i == leapfrog - 1 else 1.0
        v = v + share * size * width * moved.slope(beta)
    rise = moved.log_density(beta) - point.log_density(beta) - 0.5 * (v.square() - noise.square()).sum(-1)
    taken = (rise >= threshold) & torch.isfinite(rise)
    wide = taken.unsqueeze(-1)
    result = Point(
        torch.where(wide, moved.z, point.z),
        torch.where(taken, moved.first, point.first),
        torch.where(taken, moved.last, point.last),
        torch.where(wide, moved.slope_first, point.slope_first),
        torch.where(wide, moved.slope_last, point.slope_last),
    )
    return result, taken.to(number)


def adapting(
    target: Target, point: Point, schedule: Sequence[float], leapfrog: int, generator: torch.Generator
) -> Iterator[tuple[Point, Tensor]]:
    """Chains that find their step sizes as they go: after each transition where they stand, and the next step [B]."""
    rows, dim = target.inverse_mass.shape
    log_step = torch.full((rows,), math.log(0.5) - 0.25 * math.log(dim), dtype=torch.float64, device=point.z.device)
    for beta in schedule[1:]:
        point, share = transition(target, point, beta, log_step.exp(), leapfrog, generator)
        log_step = log_step + PACE * (share.mean(0).double() - ACCEPTED)
        yield point, log_step.exp()


def adapted_steps(
    target: Target, point: Point, schedule: Sequence[float], leapfrog: int, generator: torch.Generator
) -> Tensor:
    """Step sizes [T, B] of the transitions at schedule[1], ..., schedule[T]: a row's own, adapted along the path.

    The chains that find them are thrown away: weights of chains that adapt as they go would be biased.
    """
    return torch.stack([step for _, step in adapting(target, point, schedule, leapfrog, generator)])
