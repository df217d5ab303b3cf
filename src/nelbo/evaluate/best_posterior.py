"""The best posterior of each row, of the family that a model's posterior is of: found by optimisation, row by row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.core import Batch, FreePosterior, Model
from nelbo.distributions.drawing import draw_common
from nelbo.distributions.one_hot import StraightThroughOneHot
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.annealing import chunks, held_constant
from nelbo.evaluate.likelihood import log_weights

JUDGE = 300  # draws that say how good outputs are on the way; others than those that improve them
ROUNDS = 4  # each with a step size that falls to 0, from a third of the last one's


@final
@dataclass(frozen=True)
class Search:
    """How the best posterior of each row is looked for.

    Parameters
    ----------
    steps
        Of Adam, on the outputs of the posterior's network.
    pairs
        Draws of z a step, of opposite noise each two: for a Gaussian and a quadratic log p(x, z) the slope of the mean
        is then without noise.
    lr
        First step size, in units of the outputs.
    seed
        Of the draws, which the rows share.
    """

    steps: int = 400
    pairs: int = 5
    lr: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < ROUNDS or self.pairs < 1 or not self.lr > 0:
            raise ConfigError(
                f"the best posterior is looked for in {ROUNDS} steps or more of a size above 0, with 1 pair of draws "
                f"or more, but steps={self.steps}, lr={self.lr} and pairs={self.pairs} were given"
            )


@final
@dataclass(frozen=True, eq=False)
class Best:
    """What a search found for N rows."""

    bounds: Tensor  # [R + 1, N]  by the judge's draws: at the encoder's outputs, then after every round; nats
    steps: tuple[int, ...]  # [R + 1]
    log_w: Tensor  # [K, N]  log weights of draws of the best posteriors
    log_w_encoder: Tensor  # [K, N]  of the encoder's, from the same noise
    has_shared: bool  # whether the posterior has parameters beside its network's outputs

    @property
    def slope(self) -> float:
        """How fast the mean bound rose in the last round, nats in 100 steps: near 0 where the search has converged."""
        gain = float((self.bounds[-1] - self.bounds[-2]).mean())
        return 100 * gain / (self.steps[-1] - self.steps[-2])


def best_posteriors(
    model: Model,
    batches: Iterable[Batch],
    search: Search | None = None,
    samples: int = 1_000,
) -> Best:
    r"""For each row the best posterior of the same family: L[q*], beside L[q] of the encoder's.

    L[q] = E_q[log p(x, z) - log q(z)] is raised by Adam in the outputs of the posterior's network, one set a row, from
    where the network put them; decoder and prior stay. After each of a few rounds a row keeps what it found if that is
    better by the judge's draws; K draws of their own then give the bounds, with common noise for q and q*.

    Parameters
    ----------
    model
        In evaluation mode, with a posterior that has a density.
    samples
        K.

    Raises
    ------
    CompositionError
        If the posterior has no density, or keeps no `network`.
    """
    if not model.abilities.density:
        raise CompositionError(
            "an autoencoder's posterior is a point without a density, so that there is no bound and no gap; train with "
            "--posterior gaussian --objective elbo"
        )
    how = search or Search()
    with held_constant(model, how.seed):
        found = [
            _search(model, batch[rows], how, samples)
            for batch in batches
            for rows in chunks(batch, 2 * how.pairs, None)
        ]
    if not found:
        raise ConfigError("there are no rows to measure; choose another --split or other rows")
    return Best(
        torch.cat([each.bounds for each in found], 1),
        found[0].steps,
        torch.cat([each.log_w for each in found], 1),
        torch.cat([each.log_w_encoder for each in found], 1),
        found[0].has_shared,
    )


def _search(model: Model, batch: Batch, how: Search, samples: int) -> Best:
    free = model.free_posterior(batch)
    outputs = free.outputs
    bounds, steps = [_judge(model, batch, free.q(), how.seed)], [0]
    generator = torch.Generator().manual_seed(how.seed)
    for ends in range(1, ROUNDS + 1):
        before = outputs.detach().clone()
        steps.append(how.steps * ends // ROUNDS)
        lr = how.lr / 3 ** (ends - 1)
        optimiser = torch.optim.Adam([outputs], lr=lr)
        for left in range(steps[-1] - steps[-2], 0, -1):
            optimiser.param_groups[0]["lr"] = lr * left / (steps[-1] - steps[-2])
            outputs.grad = _slope(model, batch, free, how.pairs, generator)
            optimiser.step()
        after = _judge(model, batch, free.q(), how.seed)
        is_better = after > bounds[-1]
        bounds.append(torch.where(is_better, after, bounds[-1]))
        with torch.no_grad():
            outputs[~is_better.to(outputs.device)] = before[~is_better.to(outputs.device)]
    with torch.no_grad():
        return Best(
            torch.stack(bounds),
            tuple(steps),
            log_weights(model, batch, samples, how.seed + 2, free.q()),
            log_weights(model, batch, samples, how.seed + 2),
            free.has_shared,
        )


def _slope(model: Model, batch: Batch, free: FreePosterior, pairs: int, generator: torch.Generator) -> Tensor:
    """That of minus the bound in the outputs, from fresh draws; rows do not meet in the sum."""
    q = free.q()
    if model.abilities.reparameterised and not isinstance(q, StraightThroughOneHot):
        z, log_q = draw_common(q, pairs, generator, batch.inputs, opposite=True)
        bound = model.log_joint(batch, z) - log_q
    else:
        bound = _score_function(model, batch, q, 2 * pairs, generator)
    (slope,) = torch.autograd.grad(-bound.mean(0).sum(), free.outputs)
    return torch.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)


def _score_function(model: Model, batch: Batch, q: Distribution, draws: int, generator: torch.Generator) -> Tensor:
    """(f_k - mean of the other f) log q(z_k), f = log p(x, z) - log q(z): its gradient is that of the bound, [K, B].

    For draws without a gradient of their own, or with a biased one; Kool, van Hoof and Welling (2019), Buy 4 REINFORCE
    samples, get a baseline for free.
    """
    with torch.no_grad():
        z, log_q = draw_common(q, draws, generator, batch.inputs)
        f = model.log_joint(batch, z) - log_q
        signal = (f - f.mean(0)) * draws / (draws - 1)
    surrogate: Tensor = signal * q.log_prob(z)
    return surrogate


@torch.no_grad()
def _judge(model: Model, batch: Batch, q: Distribution, seed: int) -> Tensor:
    return log_weights(model, batch, JUDGE, seed + 1, q).mean(0)
