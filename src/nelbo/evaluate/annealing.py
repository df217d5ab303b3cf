"""Annealed importance sampling with Hamiltonian transitions, and its reverse: log p(x) from below and from above."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, final

import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.core import Batch, Model
from nelbo.distributions.drawing import FromNoise, draw_common
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.likelihood import Progress, standard_error
from nelbo.noise import own_noise
from nelbo.samplers.hamiltonian import Target, adapted_steps, transition

CHUNK = 1_000  # chains times rows moved together
DRAWS = 256  # for the variance of a start that does not know its own


@final
@dataclass(frozen=True)
class Annealing:
    """How chains go from the start to the posterior.

    Parameters
    ----------
    chains
        K, the number of chains of a row.
    temperatures
        T, the number of intermediate distributions; the estimate is exact for T to infinity.
    leapfrog
        Steps of each Hamiltonian transition.
    start
        "posterior": chains start from q(z given x), which is near where they go; "prior": from p(z), as in the
        literature on models without a recognition model.
    seed
        Of all noise, which the rows share.
    """

    chains: int = 16
    temperatures: int = 500
    leapfrog: int = 10
    start: Literal["posterior", "prior"] = "posterior"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("chains", "temperatures", "leapfrog"):
            if getattr(self, name) < 1:
                raise ConfigError(f"annealing needs 1 of its {name} or more, but {getattr(self, name)} was given")

    @property
    def schedule(self) -> Tensor:
        """beta_0 = 0 < ... < beta_T = 1, [T + 1]: sigmoidal, slow at both ends; Wu et al. (2017), section 4.2."""
        s = torch.sigmoid(torch.linspace(-4, 4, self.temperatures + 1, dtype=torch.float64))
        return (s - s[0]) / (s[-1] - s[0])


@final
@dataclass(frozen=True, eq=False)
class Annealed:
    """Estimates for N rows from K chains each; nats, float64. The noise is common to all rows."""

    log_likelihood: Tensor  # [N]
    effective_sample_size: Tensor  # [N]  of the K chains
    influence: Tensor  # [K]  mean over rows of w / mean w - 1
    acceptance: float  # share of accepted proposals

    @property
    def standard_error(self) -> float:
        """Standard error over data of the mean."""
        return standard_error(self.log_likelihood)

    @property
    def monte_carlo_error(self) -> float:
        """Standard error over chains of the mean (delta method)."""
        return standard_error(self.influence)


def check_annealing(model: Model) -> None:
    """Refuse a model that annealing cannot serve.

    Raises
    ------
    CompositionError
        If it is an autoencoder, which has no likelihood, or its latents are not real vectors.
    """
    if not model.abilities.density:
        raise CompositionError(
            "annealed importance sampling estimates a likelihood, and an autoencoder, whose posterior is a point, has "
            "none; leave --estimator out, or train with --posterior gaussian --objective elbo"
        )
    if not model.is_real:
        raise CompositionError(
            f"annealed importance sampling moves latents that are real vectors, but these are "
            f"{model.space}; use --estimator iw"
        )


def annealed_log_likelihood(
    model: Model,
    batches: Iterable[Batch],
    annealing: Annealing | None = None,
    *,
    progress: Progress | None = None,
) -> Annealed:
    r"""log p(x) of each row by annealed importance sampling: a stochastic lower bound, in expectation below it.

    With f_b(z) = p_0(z)^(1 - b) p(x, z)^b, a chain z_0 ~ p_0, z_t moved by a transition that leaves f_{b_t} as it is,
    has the weight w = prod_t f_{b_t}(z_{t-1}) / f_{b_{t-1}}(z_{t-1}), whose mean is p(x). The estimate is
    log (1/K) sum_k w_k. Step sizes are found by chains of their own and held after, so that E[w] = p(x) holds exactly.

    Parameters
    ----------
    model
        In evaluation mode, with latents that are real vectors.
    batches
        The rows, in an order of the caller's.
    annealing
        Chains, temperatures, start.
    progress
        Called with the number of rows done.

    Raises
    ------
    CompositionError
        As `check_annealing`.

    References
    ----------
    Neal (2001), Annealed importance sampling; Wu et al. (2017), On the quantitative analysis of decoder-based
    generative models, arXiv:1611.04273.
    """
    how = annealing or Annealing()
    check_annealing(model)
    with held_constant(model, how.seed):
        return _joined(
            [
                _forwards(_path(model, batch[rows], how))
                for batch in batches
                for rows in chunks(batch, how.chains, progress)
            ]
        )


@final
@dataclass(frozen=True, eq=False)
class Bidirectional:
    """log p(x) of rows that the model made itself, from below and from above."""

    lower: Annealed
    upper: Annealed


def bidirectional_log_likelihood(
    model: Model,
    simulated: Iterable[tuple[Batch, Tensor]],
    annealing: Annealing | None = None,
    *,
    progress: Progress | None = None,
) -> Bidirectional:
    r"""log p(x) of simulated rows, bracketed: annealed importance sampling, and the same chains run backwards.

    Where x was drawn with its z from p(x, z), that z is a draw of the posterior. Chains that start there and run from
    b = 1 down to 0 have weights whose inverse has the mean 1 / p(x), so that -log (1/K) sum_k 1 / w_k is in
    expectation above log p(x). What lies between both bounds is the error of either.

    Parameters
    ----------
    simulated
        Batches of x ~ p(x given z) and their z ~ p(z), [B, D].

    References
    ----------
    Grosse, Ghahramani and Adams (2015), Sandwiching the marginal likelihood using bidirectional Monte Carlo,
    arXiv:1511.02543, section 3.
    """
    how = annealing or Annealing()
    check_annealing(model)
    lower, upper = [], []
    with held_constant(model, how.seed):
        for batch, z in simulated:
            for rows in chunks(batch, how.chains, progress):
                path = _path(model, batch[rows], how)
                lower.append(_forwards(path))
                upper.append(_backwards(path, z[rows]))
    return Bidirectional(_joined(lower), _joined(upper))


def simulate(model: Model, batch: Batch, seed: int) -> tuple[Tensor, Tensor]:
    """`draw_joint` from noise of a seed; torch's random state is left alone."""
    with own_noise(seed):
        return draw_joint(model, batch)


@torch.no_grad()
def draw_joint(model: Model, batch: Batch) -> tuple[Tensor, Tensor]:
    """z ~ p(z) and x ~ p(x given z), one for each row of a batch, given its context: [B, D] and [B, *event]."""
    p = model.prior_of(batch.context)
    z = p.sample() if p.batch_shape else p.sample((len(batch),))
    return z, model.decode(z, batch.context).sample()


@final
@dataclass(frozen=True, eq=False)
class _Path:
    """From where the chains of B rows start to the posterior, with the steps that they take."""

    how: Annealing
    start: Distribution
    target: Target
    steps: Tensor  # [T, B]

    @property
    def rows(self) -> int:
        return len(self.target.inverse_mass)


def _path(model: Model, batch: Batch, how: Annealing) -> _Path:
    with torch.no_grad():
        p = model.prior_of(batch.context)
        start = model.encode(batch) if how.start == "posterior" else p
        spread = spread_of(start, how.seed, len(batch))
    target = Target(start.log_prob, lambda z: model.log_joint(batch, z), spread)
    return _Path(how, start, target, _step_sizes(target, start, how))


def spread_of(start: Distribution, seed: int, rows: int) -> Tensor:
    """The variance of where chains start, [B, D]; that of draws where the distribution does not know it."""
    try:
        variance = start.variance
    except NotImplementedError:
        variance = starts(start, DRAWS, rows, torch.Generator().manual_seed(seed + 3)).var(0)
    return torch.nan_to_num(variance, nan=1.0, posinf=1.0).clamp(min=1e-12).expand(rows, -1)


def _step_sizes(target: Target, start: Distribution, how: Annealing) -> Tensor:
    """Step sizes [T, B], by chains of another seed."""
    generator = torch.Generator().manual_seed(how.seed + 2)
    point = target.at(starts(start, how.chains, len(target.inverse_mass), generator))
    return adapted_steps(target, point, how.schedule.tolist(), how.leapfrog, generator)


def _forwards(path: _Path) -> tuple[Tensor, Tensor, float]:
    """Log weights [K, B], their log mean [B] and the share of accepted proposals."""
    how, target, steps = path.how, path.target, path.steps
    generator = torch.Generator().manual_seed(how.seed)
    point = target.at(starts(path.start, how.chains, path.rows, generator))
    log_w, accepted = torch.zeros_like(point.last, dtype=torch.float64), 0.0
    schedule = how.schedule.tolist()
    for t in range(1, len(schedule)):
        log_w += (schedule[t] - schedule[t - 1]) * (point.last - point.first).double()
        point, share = transition(target, point, schedule[t], steps[t - 1], how.leapfrog, generator)
        accepted += float(share.mean()) / how.temperatures
    return log_w, torch.logsumexp(log_w, 0) - math.log(how.chains), accepted


def _backwards(path: _Path, z: Tensor) -> tuple[Tensor, Tensor, float]:
    """log 1 / w of the chains back from z, an exact draw of the posterior, [K, B], and minus their log mean, [B]."""
    how, target, steps = path.how, path.target, path.steps
    generator = torch.Generator().manual_seed(how.seed + 1)
    point = target.at(z.expand(how.chains, *z.shape))
    log_inverse, accepted = torch.zeros_like(point.last, dtype=torch.float64), 0.0
    schedule = how.schedule.tolist()
    for t in range(len(schedule) - 1, 0, -1):
        point, share = transition(target, point, schedule[t], steps[t - 1], how.leapfrog, generator)
        log_inverse -= (schedule[t] - schedule[t - 1]) * (point.last - point.first).double()
        accepted += float(share.mean()) / how.temperatures
    return log_inverse, math.log(how.chains) - torch.logsumexp(log_inverse, 0), accepted


@torch.no_grad()
def starts(start: Distribution, chains: int, rows: int, generator: torch.Generator) -> Tensor:
    """K draws [K, B, D] of where chains start, from noise that every row shares where the distribution can."""
    if isinstance(start, FromNoise) and start.batch_shape:
        return draw_common(start, chains, generator)[0]
    with own_noise(int(torch.randint(2**62, (), generator=generator))):
        drawn = start.sample((chains,))
    return drawn if start.batch_shape else drawn.unsqueeze(1).expand(-1, rows, -1)


def _joined(pieces: list[tuple[Tensor, Tensor, float]]) -> Annealed:
    if not pieces:
        raise ConfigError("there are no rows to evaluate; choose another --split or other rows")
    shares = [torch.softmax(log_w, 0) for log_w, _, _ in pieces]
    rows = torch.tensor([len(value) for _, value, _ in pieces], dtype=torch.float64)
    share = torch.cat(shares, 1).cpu()
    return Annealed(
        log_likelihood=torch.cat([value for _, value, _ in pieces]).cpu(),
        effective_sample_size=share.square().sum(0).reciprocal(),
        influence=(len(share) * share - 1).mean(1),
        acceptance=float((torch.tensor([a for _, _, a in pieces]).double() * rows).sum() / rows.sum()),
    )


def chunks(batch: Batch, chains: int, progress: Progress | None) -> Iterator[slice]:
    """The rows of a batch in parts of about `CHUNK` chains; each is reported once it is done."""
    width = max(1, CHUNK // chains)
    for first in range(0, len(batch), width):
        rows = slice(first, min(first + width, len(batch)))
        yield rows
        if progress is not None:
            progress(rows.stop - rows.start)


@contextmanager
def held_constant(model: Model, seed: int) -> Iterator[None]:
    """Only z has a gradient, so that a backward pass leaves the weights out.

    A prior that is itself an estimate takes its noise from the seed.
    """
    was = [p for p in model.parameters() if p.requires_grad]
    for p in was:
        p.requires_grad_(False)
    try:
        with own_noise(seed):
            yield
    finally:
        for p in was:
            p.requires_grad_(True)


__all__ = [
    "Annealed",
    "Annealing",
    "Bidirectional",
    "annealed_log_likelihood",
    "bidirectional_log_likelihood",
    "check_annealing",
    "draw_joint",
    "simulate",
]
