"""The importance-sampled log-likelihood, with everything one needs in order to trust it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.distributions import Distribution

from nelbo.core import Batch, Model
from nelbo.distributions.drawing import draw_common
from nelbo.errors import ConfigError
from nelbo.evaluate.pareto import pareto_k
from nelbo.noise import apart

CHUNK = 1_000  # draws times rows decoded together: where matrix products run fastest
KEPT = 30 << 20  # bytes; glibc learns from blocks below 32 MiB only
ROWS = 200  # rows whose weights are held at a time
Progress = Callable[[int], None]


@final
@dataclass(frozen=True, eq=False)
class Estimate:
    """Estimates for N rows from K importance samples a row; nats, float64.

    The noise is common to all rows, so the Monte Carlo error of the mean over rows is not that of N independent
    errors: it is the standard error over draws of the rows' mean influence (`monte_carlo_error`).
    """

    bound: Tensor  # [N]  mean over draws of log w
    log_likelihood: Tensor  # [N]  log of the mean weight
    effective_sample_size: Tensor  # [N]  (sum w)^2 / sum w^2, from 1 to K
    pareto_k: Tensor  # [N]  shape of the tail of the weights; above 0.7 the estimate is not to be trusted
    influence: Tensor  # [K]  mean over rows of w / mean w - 1
    by_samples: dict[int, float]  # K' -> mean log-likelihood estimate with K' draws, for its bias to show
    samples: int

    @property
    def n(self) -> int:
        return len(self.bound)

    @property
    def standard_error(self) -> float:
        """Standard error over data of the mean log-likelihood."""
        return standard_error(self.log_likelihood)

    @property
    def monte_carlo_error(self) -> float:
        """Standard error over draws of the mean log-likelihood (delta method)."""
        return standard_error(self.influence) if self.samples > 1 else math.nan


def standard_error(values: Tensor) -> float:
    """Standard deviation of the mean; NaN for one value."""
    return float(values.std() / math.sqrt(len(values))) if len(values) > 1 else math.nan


@torch.inference_mode()
def importance_log_likelihood(
    model: Model,
    batches: Iterable[Batch],
    samples: int = 1_000,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Estimate:
    r"""log p(x) of each row, estimated by log (1/K) sum_k p(x, z_k) / q(z_k given x), z_k ~ q.

    Its expectation is a lower bound that rises to log p(x) with K (Burda et al. (2016), theorem 1). Networks run in
    their own precision, weights are accumulated in float64; memory does not grow with the number of rows, and with
    K by 8 bytes a draw and row of `ROWS` rows.

    Parameters
    ----------
    model
        In evaluation mode.
    batches
        The rows, in an order of the caller's.
    samples
        K.
    seed
        Of the noise, which all rows share: a row's score does not depend on its neighbours.
    progress
        Called with the number of rows done.

    Raises
    ------
    ConfigError
        If K is below 1 or there are no rows.
    """
    if samples < 1:
        raise ConfigError(f"the likelihood needs 1 importance sample or more, but --samples {samples} was given")
    _keep_freed_memory()
    bounds, logs, sizes, tails = [], [], [], []
    influence = torch.zeros(samples, dtype=torch.float64)
    counts = _counts(samples)
    totals = dict.fromkeys(counts, 0.0)
    for batch in batches:
        for start in range(0, len(batch), ROWS):
            log_w = log_weights(model, batch[start : start + ROWS], samples, seed)
            normaliser = torch.logsumexp(log_w, 0)
            share = torch.exp(log_w - normaliser)  # [K, B], each column sums to 1
            bounds.append(log_w.mean(0))
            logs.append(normaliser - math.log(samples))
            sizes.append(share.square().sum(0).reciprocal())
            tails.append(pareto_k(log_w))
            influence += (samples * share - 1).sum(1)
            for count in counts:
                totals[count] += float(_by_groups(log_w, count).sum())
            if progress is not None:
                progress(log_w.shape[1])
    if not bounds:
        raise ConfigError("there are no rows to evaluate; choose another --split or other rows")
    log_likelihood = torch.cat(logs)
    n = len(log_likelihood)
    return Estimate(
        bound=torch.cat(bounds),
        log_likelihood=log_likelihood,
        effective_sample_size=torch.cat(sizes),
        pareto_k=torch.cat(tails),
        influence=influence / n,
        by_samples={count: total / n for count, total in totals.items()},
        samples=samples,
    )


def _keep_freed_memory() -> None:
    """Free one large block, unused: malloc then keeps blocks of that size for the next draws.

    Without it glibc gives the few megabytes of a chunk back to the system after each row, and every row starts with
    some 1,500 page faults. Elsewhere it does nothing.
    """
    torch.empty(KEPT, dtype=torch.uint8)


def log_weights(model: Model, batch: Batch, samples: int, seed: int, q: Distribution | None = None) -> Tensor:
    """log p(x, z) - log q(z given x) of K draws with common noise, [K, B] in float64 on the CPU.

    Draws are those of the model's own posterior, or of the `q` that is given.
    """
    q = model.encode(batch) if q is None else q
    generator = torch.Generator().manual_seed(seed)
    pieces = []
    with apart():
        for number, draws in enumerate(_pieces(samples)):
            # A prior that is itself an estimate takes its noise from the seed: other noise for other draws.
            torch.manual_seed(seed + number)
            z, log_q = draw_common(q, draws, generator, batch.inputs)
            width = max(1, CHUNK // draws)
            columns = [model.log_joint(batch[i : i + width], z[:, i : i + width]) for i in range(0, len(batch), width)]
            pieces.append((torch.cat(columns, 1) - log_q).double().cpu())
    return torch.cat(pieces)


def _pieces(samples: int) -> list[int]:
    return [min(CHUNK, samples - start) for start in range(0, samples, CHUNK)]


def _counts(samples: int) -> list[int]:
    """1, 10, 100, ... below K, then K."""
    return [10**power for power in range(8) if 10**power < samples] + [samples]


def _by_groups(log_w: Tensor, count: int) -> Tensor:
    """The estimate with `count` draws, averaged over as many disjoint groups of draws as there are: [B]."""
    groups = log_w.shape[0] // count
    return torch.logsumexp(log_w[: groups * count].view(groups, count, -1), 1).mean(0) - math.log(count)
