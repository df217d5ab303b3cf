"""The inference gap, in two: what the family of posteriors loses, and what the network that serves all rows loses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, final

import torch
from torch import Tensor

from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.annealing import Annealed, Annealing, annealed_log_likelihood
from nelbo.evaluate.best_posterior import Best, Search, best_posteriors
from nelbo.evaluate.evaluation import finite
from nelbo.evaluate.likelihood import standard_error
from nelbo.evaluate.measure import Cell, Chart, Finding, Measure, Subject
from nelbo.evaluate.pareto import RELIABLE, pareto_k
from nelbo.registry import register

RISING = 0.05  # nats in 100 steps: still rising
PIECE = 25  # rows that are told of together
TAIL = 0.05  # of the rows may have weights with heavy tails
_NAMES = (
    "log p(x) ({})",
    "bound of the best posteriors",
    "bound of the encoder",
    "approximation gap: the family",
    "amortisation gap: the encoder",
    "inference gap: both",
)


@register("measure/gap")
@final
class Gap(Measure):
    r"""What the bound loses: by the family of the posterior, and by one network for all rows.

        log p(x) - L[q] = (log p(x) - L[q*]) + (L[q*] - L[q]),

    the approximation gap and the amortisation gap, q* being the best posterior of the same family for each row alone.
    The first is what a richer family could win with this decoder, the second what a better encoder could. What is
    optimised for q* are the outputs of the posterior's network, a set a row; parameters that a posterior keeps beside
    them, such as the networks of a flow's maps, serve all rows and stay as they are trained. A search finds no more
    than there is: the amortisation gap is that or larger, the approximation gap that or smaller.

    Parameters
    ----------
    rows
        Rows at most, evenly spaced.
    estimator
        Of log p(x), from below in expectation: `iw`, importance sampling from q*, or `ais`, annealed importance
        sampling.
    samples
        K draws of the bounds, and of `iw`.
    steps, pairs, lr
        Of the search: steps of Adam, pairs of draws of z a step, first step size.
    chains, temperatures
        Of `ais`.

    References
    ----------
    Cremer, Li and Duvenaud (2018), Inference suboptimality in variational autoencoders, arXiv:1801.03558.
    """

    def __init__(
        self,
        rows: int = 100,
        estimator: Literal["iw", "ais"] = "iw",
        samples: int = 1_000,
        steps: int = 400,
        pairs: int = 5,
        lr: float = 0.1,
        chains: int = 16,
        temperatures: int = 500,
    ) -> None:
        if rows < 1 or samples < 2:
            raise ConfigError(f"gap needs 1 row and 2 samples or more, but {rows} and {samples} were given")
        self.rows = rows
        self.estimator = estimator
        self.samples = samples
        self.search = Search(steps, pairs, lr)
        self.annealing = Annealing(chains, temperatures)

    def __call__(self, subject: Subject) -> Finding:
        model, batches = subject.model, subject.batches(self.rows, PIECE)
        is_annealed = self.estimator == "ais"
        if is_annealed and not model.is_real:
            raise CompositionError(
                f"annealing moves latents that are real vectors, but these are {model.space}; use "
                "--measure gap:estimator=iw"
            )
        pieces = (2 if is_annealed else 1) * len(batches)
        search = replace(self.search, seed=subject.seed)
        best = best_posteriors(model, subject.paced(batches.fixed(), pieces), search, self.samples)
        annealed = None
        if is_annealed:
            how = replace(self.annealing, seed=subject.seed)
            annealed = annealed_log_likelihood(model, subject.paced(batches.fixed(), pieces), how)
        return self._finding(subject, best, gaps(best, annealed))

    def _finding(self, subject: Subject, best: Best, found: Mapping[str, Gauged]) -> Finding:
        n = best.log_w.shape[1]
        by = "annealing" if self.estimator == "ais" else f"K = {self.samples}"
        rows: list[list[Cell]] = [
            [name.format(by), *figures.row] for name, figures in zip(_NAMES, found.values(), strict=True)
        ]
        heavy = float((pareto_k(best.log_w) > RELIABLE).double().mean())
        title = f"{subject.split}: what the bound loses, {n} {'row' if n == 1 else 'rows'}, nats per datum"
        curve = list(zip(map(float, best.steps), best.bounds.mean(1).tolist(), strict=True))
        ceiling = found["log_likelihood"].value
        return Finding(
            title,
            {
                "n": n,
                "estimator": self.estimator,
                "samples": self.samples,
                "steps": self.search.steps,
                **{name: figures.value for name, figures in found.items()},
                "standard_error": {name: figures.standard_error for name, figures in found.items()},
                "monte_carlo_error": {name: figures.monte_carlo_error for name, figures in found.items()},
                "slope": best.slope,
                "pareto_k_share_above": heavy,
            },
            ("", "nats", "standard error", "Monte Carlo error"),
            rows,
            self._notes(best, found, heavy, subject.model.is_real),
            (
                Chart(
                    "lines",
                    "steps of the search",
                    "mean bound (nats)",
                    {
                        "bound of each row's own posterior": curve,
                        "log p(x)": [(0.0, ceiling), (float(best.steps[-1]), ceiling)],
                    },
                    words=f"{title}: the bound from the encoder's posterior to the best of its family, below log p(x)",
                ),
            ),
        )

    def _notes(self, best: Best, found: Mapping[str, Gauged], heavy: float, is_real: bool) -> tuple[str, ...]:
        """What the figures say, and how far they are to be trusted."""
        family, network = found["approximation_gap"].value, found["amortisation_gap"].value
        notes = [
            f"with this decoder a richer family of posteriors (nelbo parts posterior) could win up to {family:.2f} "
            f"nats of the bound, and a better encoder {network:.2f}",
            f"the search for the best posteriors still rose by {best.slope:.3f} nats in its last 100 steps"
            + (
                f": it has not converged, take more (gap:steps={2 * self.search.steps}); until then the amortisation "
                "gap is too small and the approximation gap too large"
                if best.slope > RISING
                else ": it has converged"
            ),
        ]
        if best.has_shared:
            notes.append(
                "the posterior has parameters beside its network's outputs, which all rows share: they stay as they "
                "are trained, and 'best' is best with them"
            )
        if self.estimator == "iw" and heavy > TAIL:
            notes.append(
                f"the weights of {heavy:.0%} of the rows have a tail too heavy to trust their log p(x) from so few "
                "samples: it may be too low, and with it the approximation gap; take more "
                f"(gap:samples={10 * self.samples}){', or gap:estimator=ais' if is_real else ''}"
            )
        return tuple(notes)


@final
@dataclass(frozen=True)
class Gauged:
    """A mean over rows with its two errors: over rows, and over draws; None for an error that one row leaves open."""

    value: float
    standard_error: float | None
    monte_carlo_error: float | None

    @property
    def row(self) -> tuple[float, float | None, float | None]:
        return self.value, self.standard_error, self.monte_carlo_error


def gaps(best: Best, annealed: Annealed | None = None) -> dict[str, Gauged]:
    """log p(x), both bounds and the three gaps, each a mean over rows; log p(x) by the draws of q* unless annealed."""
    draws = best.log_w.shape[0]
    normaliser = torch.logsumexp(best.log_w, 0)
    log_px = normaliser - math.log(draws) if annealed is None else annealed.log_likelihood
    # What each draw has to do with the mean over rows; a draw of chains is another one.
    bound, encoder = best.log_w.mean(1), best.log_w_encoder.mean(1)
    of_px = (draws * torch.exp(best.log_w - normaliser) - 1).mean(1) if annealed is None else torch.zeros_like(bound)
    apart = 0.0 if annealed is None else annealed.monte_carlo_error

    def gauged(rows: Tensor, influence: Tensor, reads_px: bool) -> Gauged:
        error = math.hypot(standard_error(influence), apart if reads_px else 0.0)
        return Gauged(float(rows.mean()), finite(standard_error(rows)), finite(error))

    of_best, of_encoder = best.log_w.mean(0), best.log_w_encoder.mean(0)
    return {
        "log_likelihood": gauged(log_px, of_px, True),
        "best_bound": gauged(of_best, bound, False),
        "bound": gauged(of_encoder, encoder, False),
        "approximation_gap": gauged(log_px - of_best, of_px - bound, True),
        "amortisation_gap": gauged(of_best - of_encoder, bound - encoder, False),
        "inference_gap": gauged(log_px - of_encoder, of_px - encoder, True),
    }
