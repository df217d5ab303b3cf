"""The log-likelihood from draws of the posterior alone: the estimator of the AEVB paper, appendix D."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch, Model
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.annealing import Annealing, check_annealing, chunks, held_constant, spread_of, starts
from nelbo.evaluate.likelihood import Progress, standard_error
from nelbo.samplers.hamiltonian import Point, Target, adapting, resampled, transition

MOST = 5  # dimensions, "less than 5" in the paper, in which a density can be fitted to draws
THIN = 2  # transitions between draws that are kept
NARROWER = 0.7  # than the draws: the variance of the fitted density


@final
@dataclass(frozen=True)
class Chains:
    """How posterior draws are made.

    Parameters
    ----------
    chains
        K, the number of chains of a row.
    draws
        Draws of a chain in each half: the first half fits the density, the second is scored with it.
    warm_up
        Transitions before the first draw, along a path from the prior to the posterior, in which each row's step size
        is found. Chains that start at draws of q(z given x) would stay in the modes that q knows.
    leapfrog
        Steps of each Hamiltonian transition.
    seed
        Of all noise, which the rows share.
    """

    chains: int = 20
    draws: int = 25
    warm_up: int = 50
    leapfrog: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("chains", "draws", "warm_up", "leapfrog"):
            if getattr(self, name) < 1:
                raise ConfigError(f"posterior draws need 1 of {name} or more, but {getattr(self, name)} was given")


@final
@dataclass(frozen=True, eq=False)
class FromDraws:
    """Estimates for N rows; nats, float64. The noise is common to all rows."""

    log_likelihood: Tensor  # [N]
    effective_sample_size: Tensor  # [N]  of the second half's draws, as if they were independent
    acceptance: float  # share of accepted proposals

    @property
    def standard_error(self) -> float:
        """Standard error over data of the mean."""
        return standard_error(self.log_likelihood)


def posterior_log_likelihood(
    model: Model,
    batches: Iterable[Batch],
    how: Chains | None = None,
    *,
    progress: Progress | None = None,
) -> FromDraws:
    r"""log p(x) of each row by -log mean of q(z) / p(x, z) over z ~ p(z given x), q a density fitted to other draws.

    E_{p(z given x)}[q(z) / p(x, z)] = 1 / p(x) for every density q. Draws come from Hamiltonian chains, and q is a
    mixture with a Gaussian for each chain, fitted to its first half: a posterior of several modes has a Gaussian or
    more in each, where one for all would lie between them. It is sound for few latents only; for more
    `annealed_log_likelihood` is.

    Raises
    ------
    CompositionError
        If the latents are not real vectors, or are five or more.

    References
    ----------
    Kingma and Welling (2013), Auto-encoding variational Bayes, arXiv:1312.6114, appendix D.
    """
    how = how or Chains()
    check_annealing(model)
    if model.latent >= MOST:
        raise CompositionError(
            f"a density cannot be fitted to draws of {model.latent} latents; this estimator takes fewer than {MOST}, "
            "annealed importance sampling any number"
        )
    with held_constant(model, how.seed):
        found = [
            _estimate(model, batch[rows], how) for batch in batches for rows in chunks(batch, how.chains, progress)
        ]
    if not found:
        raise ConfigError("there are no rows to evaluate; choose another --split or other rows")
    values, sizes, accepted = zip(*found, strict=True)
    rows = torch.tensor([len(value) for value in values], dtype=torch.float64)
    share = float((torch.tensor(accepted, dtype=torch.float64) * rows).sum() / rows.sum())
    return FromDraws(torch.cat(values).cpu(), torch.cat(sizes).cpu(), share)


def _estimate(model: Model, batch: Batch, how: Chains) -> tuple[Tensor, Tensor, float]:
    with torch.no_grad():
        prior = model.prior_of(batch.context)
        spread = spread_of(model.encode(batch), how.seed, len(batch))
    target = Target(prior.log_prob, lambda z: model.log_joint(batch, z), spread)
    generator = torch.Generator().manual_seed(how.seed)
    start = target.at(starts(prior, how.chains, len(batch), generator))
    schedule = Annealing(temperatures=how.warm_up).schedule.tolist()
    walk = _Walk(target, start, schedule, how.leapfrog, generator)
    log_q = _mixture(torch.stack([z for z, _ in walk.draws(how.draws)]).double())
    inverse = torch.cat([log_q(z.double()) - log_joint.double() for z, log_joint in walk.draws(how.draws)])
    total = torch.logsumexp(inverse, 0)
    share = torch.exp(inverse - total)
    return math.log(len(inverse)) - total, share.square().sum(0).reciprocal(), walk.acceptance


def _mixture(draws: Tensor) -> Callable[[Tensor], Tensor]:
    """The log density of a Gaussian for each chain, [K, B, D] -> [K, B], fitted to T draws of each, [T, K, B, D].

    The covariance of a chain, which its few draws say little of, is drawn half way to that of a typical chain of the
    row: the median one, for a chain that went from mode to mode has a wide one, and what a density holds where the
    posterior has nothing, no draw ever tells.
    """
    mean = draws.mean(0)  # [K, B, D]
    apart = (draws - mean).movedim(0, -1)  # [K, B, D, T]
    own = apart @ apart.mT / len(draws)
    middle = own.diagonal(dim1=-2, dim2=-1).sum(-1).median(0).indices  # [B]
    covariance = NARROWER * (own + own.take_along_dim(middle[None, :, None, None], 0)) / 2
    tiny = 1e-9 * covariance.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-12)
    covariance = covariance + tiny[..., None, None] * torch.eye(draws.shape[-1], dtype=draws.dtype)
    parts = torch.distributions.MultivariateNormal(mean, covariance, validate_args=False)
    number = math.log(draws.shape[1])
    return lambda z: torch.logsumexp(parts.log_prob(z.unsqueeze(1)), 1) - number  # type: ignore[no-untyped-call]


class _Walk:
    """Chains of some rows, with a step size for each row."""

    def __init__(
        self, target: Target, point: Point, schedule: Sequence[float], leapfrog: int, generator: torch.Generator
    ) -> None:
        """Go from one end of the path to the other, while the step sizes are found.

        In the end the chains of a row are drawn anew by their weights, as many in a mode as it holds of the posterior.
        """
        self._target, self._leapfrog, self._generator = target, leapfrog, generator
        log_w, rises = torch.zeros_like(point.last, dtype=torch.float64), itertools.pairwise(schedule)
        moves = adapting(target, point, schedule, leapfrog, generator)
        for (before, beta), (moved, step) in zip(rises, moves, strict=True):
            log_w += (beta - before) * (point.last - point.first).double()
            point, self._step = moved, step
        self._point = point.chosen(resampled(log_w, generator))
        self._accepted, self._moves = 0.0, 0

    @property
    def acceptance(self) -> float:
        return self._accepted / max(1, self._moves)

    def draws(self, number: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Where chains stand after every few transitions, [K, B, D], and log p(x, z) there, [K, B]."""
        for _ in range(number):
            for _ in range(THIN):
                self._move()
            yield self._point.z, self._point.last

    def _move(self) -> None:
        self._point, taken = transition(self._target, self._point, 1.0, self._step, self._leapfrog, self._generator)
        self._accepted, self._moves = self._accepted + float(taken.mean()), self._moves + 1
