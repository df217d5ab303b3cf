"""The figures of a loss: norm, signal-to-noise ratio, cosine and zeros of the gradient of each term of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, final

import torch
from torch import Tensor, nn

from nelbo.core import Loss

LOSS = "loss"  # the term that is the sum of all
ALL = "all"  # the group that holds every parameter of the phase
Gradients = list[Tensor | None]


@final
@dataclass(frozen=True)
class Slope:
    """The gradient of one term of the loss at one group of parameters."""

    norm: float  # Euclidean, nats per datum and unit of the parameters
    zeros: float  # share of entries that are exactly 0
    snr: float | None  # of the whole batch; None where the term is one number, or the batch too small

    def as_json(self, rows: int) -> dict[str, float | None]:
        """Plain numbers; None for what is not finite."""
        of_datum = None if self.snr is None else self.snr / math.sqrt(rows)
        figures = {"norm": self.norm, "zeros": self.zeros, "snr": self.snr, "snr_of_a_datum": of_datum}
        return {name: finite(value) for name, value in figures.items()}


@final
@dataclass(frozen=True, eq=False)
class Reading:
    """One loss of one phase, taken apart."""

    phase: str
    rows: int
    row_groups: int
    terms: Mapping[str, float]  # the mean value of each, as it stands in the loss
    slopes: Mapping[str, Mapping[str, Slope]] = field(default_factory=dict)  # by group of parameters, then by term
    cosines: Mapping[str, Mapping[tuple[str, str], float | None]] = field(default_factory=dict)  # None: one has norm 0

    def as_json(self) -> dict[str, Any]:
        """Plain JSON; None for what is not finite."""
        groups = {
            group: {
                "terms": {term: slope.as_json(self.rows) for term, slope in slopes.items()},
                "cosines": [[*pair, finite(value)] for pair, value in self.cosines[group].items()],
            }
            for group, slopes in self.slopes.items()
        }
        terms = {term: finite(value) for term, value in self.terms.items()}
        return {
            "phase": self.phase,
            "rows": self.rows,
            "row_groups": self.row_groups,
            "terms": terms,
            "groups": groups,
        }


def finite(value: float | None) -> float | None:
    """A number that JSON knows, or None."""
    return value if value is not None and math.isfinite(value) else None


@final
@dataclass(frozen=True, eq=False)
class Taken:
    """The gradients of a loss, before anything is said of them; lists are in the order of the parameters."""

    total: Gradients
    of_terms: Mapping[str, Gradients]  # without those that have no graph
    noise: Mapping[str, list[Tensor]]  # sum over groups of rows of n |g - mean|^2, per parameter
    row_groups: int


def take(loss: Loss, total: Gradients, parameters: Sequence[nn.Parameter], rows: int, row_groups: int) -> Taken:
    """The gradient of each term, of the whole batch and how it scatters between groups of rows."""
    chunks = [part for part in torch.arange(rows).tensor_split(min(row_groups, rows)) if len(part)]
    attached = {name: part for name, part in loss.parts.items() if part.requires_grad}
    vectors = {name: part for name, part in attached.items() if part.shape == (rows,)}
    of_terms: dict[str, Gradients] = {}
    for name, part in attached.items():
        if name not in vectors:
            of_terms[name] = gradient(part.mean(), parameters)
    scatters = {name: _Scatter(len(parameters)) for name in (*vectors, LOSS)}
    for chunk in chunks:
        together: Gradients = [None] * len(parameters)
        for name, part in vectors.items():
            weights = torch.zeros_like(part)
            weights[int(chunk[0]) : int(chunk[-1]) + 1] = 1.0 / len(chunk)
            found = gradient(part, parameters, weights)
            scatters[name].add(found, len(chunk))
            together = [_sum(one, other) for one, other in zip(together, found, strict=True)]
        scatters[LOSS].add(together, len(chunk))
    for name in vectors:
        of_terms[name] = scatters[name].mean
    known = len(chunks) > 1
    noise = {name: scatters[name].squares() for name in vectors} if known else {}
    if known and len(vectors) == len(attached) > 0:
        noise[LOSS] = scatters[LOSS].squares()
    return Taken(total, of_terms, noise, len(chunks))


def gradient(value: Tensor, parameters: Sequence[nn.Parameter], weights: Tensor | None = None) -> Gradients:
    """The gradient of a value, None where there is no way to a parameter; `.grad` and the graph stay as they are."""
    return list(torch.autograd.grad(value, parameters, weights, retain_graph=True, allow_unused=True))


def read(phase: str, loss: Loss, taken: Taken, groups: Sequence[str], sizes: Sequence[int], rows: int) -> Reading:
    """The figures of what was taken; `groups` and `sizes` are those of each parameter."""
    of = {**taken.of_terms, LOSS: taken.total}
    slopes: dict[str, dict[str, Slope]] = {}
    cosines: dict[str, dict[tuple[str, str], float | None]] = {}
    for group, places in _places(groups):
        norms = {term: _norm(found, places) for term, found in of.items()}
        slopes[group] = {
            term: Slope(
                norms[term],
                _zeros(found, sizes, places),
                _snr(norms[term], taken.noise.get(term), places, taken.row_groups, rows),
            )
            for term, found in of.items()
        }
        cosines[group] = {
            (one, other): _cosine(of[one], of[other], norms[one] * norms[other], places)
            for one, other in combinations(taken.of_terms, 2)
        }
    values = {name: float(part.detach().mean()) for name, part in loss.parts.items()}
    return Reading(phase, rows, taken.row_groups, values, slopes, cosines)


def disagreement(taken: Taken) -> float:
    """How far the gradient of the loss is from the sum of its terms', as a share of the sum of their norms."""
    apart: list[Tensor | None] = []
    for i, whole in enumerate(taken.total):
        rest = None if whole is None else whole.clone()
        for found in taken.of_terms.values():
            rest = _sum(rest, None if (one := found[i]) is None else -one)
        apart.append(rest)
    every = range(len(taken.total))
    size = sum(_norm(found, every) for found in taken.of_terms.values()) + _norm(taken.total, every)
    return _norm(apart, every) / size if size > 0 else 0.0


@final
class _Scatter:
    """The weighted mean of gradients, and sum_m n_m (g_m - mean)^2 of each parameter, in one pass.

    References
    ----------
    West (1979), Updating mean and variance estimates: an improved method, Communications of the ACM 22.
    """

    def __init__(self, parameters: int) -> None:
        self.mean: Gradients = [None] * parameters
        self._squares: Gradients = [None] * parameters
        self._rows = 0

    def add(self, found: Gradients, rows: int) -> None:
        self._rows += rows
        for i, new in enumerate(found):
            if new is None:
                continue
            mean = self.mean[i]
            if mean is None:
                self.mean[i], self._squares[i] = new.clone(), new.new_zeros((), dtype=torch.float64)
                continue
            away, share = new - mean, rows / self._rows
            mean.add_(away, alpha=share)
            # n |g - mean| |g - mean after|, and what remains of g - mean after is 1 - share of it.
            added = rows * (1 - share) * torch.linalg.vector_norm(away).double().square()
            self._squares[i] = _sum(self._squares[i], added)

    def squares(self) -> list[Tensor]:
        return [torch.zeros(()) if square is None else square for square in self._squares]


def _places(groups: Sequence[str]) -> Iterator[tuple[str, Sequence[int]]]:
    """The places of the parameters of each group, and of all where there is more than one."""
    names = list(dict.fromkeys(groups))
    for name in names:
        yield name, [i for i, group in enumerate(groups) if group == name]
    if len(names) > 1:
        yield ALL, range(len(groups))


def _norm(found: Gradients, places: Sequence[int]) -> float:
    sizes = [torch.linalg.vector_norm(g).double() for i in places if (g := found[i]) is not None]
    return float(torch.linalg.vector_norm(torch.stack(sizes))) if sizes else 0.0


def _cosine(one: Gradients, other: Gradients, norms: float, places: Sequence[int]) -> float | None:
    if not norms > 0:
        return None
    products = [(a.double() * b).sum() for i in places if (a := one[i]) is not None and (b := other[i]) is not None]
    return float(torch.stack(products).sum()) / norms if products else 0.0


def _zeros(found: Gradients, sizes: Sequence[int], places: Sequence[int]) -> float:
    """Share of exact zeros; a parameter that this term does not reach is all zeros."""
    nonzero = sum(int(g.count_nonzero()) for i in places if (g := found[i]) is not None)
    return 1.0 - nonzero / sum(sizes[i] for i in places)


def _snr(norm: float, noise: list[Tensor] | None, places: Sequence[int], groups: int, rows: int) -> float | None:
    if noise is None:
        return None
    spread = float(torch.stack([noise[i].double().cpu() for i in places]).sum())
    of_mean = math.sqrt(spread / (groups - 1) / rows)  # standard deviation of the mean of the batch
    if of_mean > 0:
        return norm / of_mean
    return math.inf if norm > 0 else None


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other
