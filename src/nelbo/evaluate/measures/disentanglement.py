"""Disentanglement: how well single latents stand for single factors of variation, where these are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from nelbo.data import Data, Factor, with_factors
from nelbo.errors import ConfigError, DataError, unknown
from nelbo.evaluate.factor_scores import (
    BINS,
    Integers,
    Reals,
    completeness,
    disentanglement,
    entropies,
    factor_vae_score,
    importances,
    lead,
    mutual_information,
    predictability,
)
from nelbo.evaluate.measure import Cell, Chart, Finding, Measure, Subject
from nelbo.models.activity import ACTIVE
from nelbo.registry import register

FEWEST = 2  # that can be told apart
EACH = 10  # rows for each value of a factor, on average
SHORT = ("MIG", "DCI, D", "DCI, C", "DCI, I", "SAP", "FactorVAE")


@final
@dataclass(frozen=True, eq=False)
class _Known:
    """Rows whose factors are known."""

    z: Reals  # [N, D]
    v: Integers  # [N, F]

    def __len__(self) -> int:
        return len(self.z)

    def some(self, rows: Integers) -> _Known:
        return _Known(self.z[rows], self.v[rows])

    def of(self, latents: Integers) -> _Known:
        return _Known(self.z[:, latents], self.v)

    def shuffled(self, random: np.random.Generator) -> _Known:
        """Latents that know nothing of the factors, but are distributed as these are."""
        return _Known(random.permutation(self.z), self.v)


@final
@dataclass(frozen=True, eq=False)
class _Scores:
    """All scores of some rows, and what they are made of."""

    total: Mapping[str, float]
    shares: Reals  # [D, F]  of the entropy of each factor that each latent tells
    importance: Reals  # [D, F]
    told: Reals  # [F]  how well all latents tell each factor


@register("measure/disentanglement")
@final
class Disentanglement(Measure):
    """MIG, DCI, SAP and FactorVAE score of posterior means against known factors of variation, with those of chance.

    Mutual information is that of histograms with 20 bins of equal width of each posterior mean. Forests and votes are
    fitted on training rows and scored on the rows measured; where these are training rows or other data, on random
    halves of them. Latents that have collapsed to the prior are left out: those whose means have a variance of 0.01 or
    less (of none at all, where latents are no real vectors).

    Chance is what the same latents score once their rows are permuted at random. Standard errors are the standard
    deviation of the scores of random halves of the rows: a jackknife that leaves out half (a little too large where the
    rows are few).

    Parameters
    ----------
    factors
        Names of factors, joined by +; by default all that the data come with. Columns or arrays of the data's file
        can be named too, also those that training left aside.
    unordered
        Of the factors whose values are numbers, those that are mere codes.
    rows
        Rows to fit on and rows to score, at most, drawn at random.
    repeats
        Halves for the standard errors, and permutations for chance.

    References
    ----------
    Chen et al. (2018), arXiv:1802.04942, eq. 6 (MIG); Eastwood and Williams (2018), ICLR (DCI); Kumar et al. (2018),
    arXiv:1711.00848, section 3 (SAP); Kim and Mnih (2018), arXiv:1802.05983, section 4; Shao and Wu (1989), A general
    theory for jackknife variance estimation, Annals of Statistics 17.
    """

    def __init__(
        self, factors: str | list[str] = "", unordered: str | list[str] = "", rows: int = 5_000, repeats: int = 5
    ) -> None:
        if rows < 1 or repeats < FEWEST:
            raise ConfigError(f"disentanglement needs 1 row and 2 repeats or more, but {rows} and {repeats} were given")
        self.factors = _names(factors)
        self.unordered = _names(unordered)
        self.rows = rows
        self.repeats = repeats

    def __call__(self, subject: Subject) -> Finding:
        data = with_factors(subject.data, self.factors)
        factors = self._described(data.spec.factors)
        random = np.random.default_rng(subject.seed)
        fitted, scored = (_known(subject, data, rows) for rows in self._rows(subject, data, factors, random))
        active = _active(subject, scored)
        fitted, scored = fitted.of(active), scored.of(active)
        ordered = [factor.ordered for factor in factors]
        found = _scores(fitted, scored, ordered, random)
        halves = [_scores(_half(fitted, random), _half(scored, random), ordered, random) for _ in range(self.repeats)]
        lost = [_scores(fitted.shuffled(random), scored.shuffled(random), ordered, random) for _ in range(self.repeats)]
        subject.advance(len(subject.rows))
        return _finding(subject, (len(fitted), len(scored)), factors, active, found, halves, lost)

    def _described(self, factors: Sequence[Factor]) -> list[Factor]:
        """The factors, those that are mere codes without an order."""
        names = [factor.name for factor in factors]
        for name in self.unordered:
            if name not in names:
                raise unknown("factor in unordered", name, names)
        return [
            factor.model_copy(update={"ordered": factor.ordered and factor.name not in self.unordered})
            for factor in factors
        ]

    def _rows(
        self, subject: Subject, data: Data, factors: Sequence[Factor], random: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """Rows to fit on, and others to score, whose factors are all known."""
        assert data.factors is not None
        known = (data.factors >= 0).all(1)
        rows, train = subject.rows[known[subject.rows]], subject.trained_on
        if train is not None and subject.data is train.data and subject.is_held_out:
            fitted = train.rows[known[train.rows]]
        else:
            mixed = rows[torch.from_numpy(random.permutation(len(rows)))]
            fitted, rows = mixed[: len(rows) // 2], mixed[len(rows) // 2 :]
        fitted, rows = _drawn(fitted, self.rows, random), _drawn(rows, self.rows, random)
        _check(data.factors[rows], factors)
        return fitted, rows


def _names(given: str | list[str]) -> tuple[str, ...]:
    return tuple([given] if isinstance(given, str) else given) if given else ()


def _drawn(rows: Tensor, most: int, random: np.random.Generator) -> Tensor:
    """So many of the rows at most, in their order; at random, for factors often run in step with row numbers."""
    return rows[torch.from_numpy(np.sort(random.permutation(len(rows))[:most]))]


@torch.inference_mode()
def _known(subject: Subject, data: Data, rows: Tensor) -> _Known:
    """Posterior means of some rows, as the decoder reads them, and their factors."""
    assert data.factors is not None
    means = [
        subject.model.code(subject.model.point(batch)).double()
        for batch in subject.fitted.batches(subject.data, rows).fixed()
    ]
    return _Known(torch.cat(means).numpy(), data.factors[rows].numpy())


def _check(codes: Tensor, factors: Sequence[Factor]) -> None:
    """Refuse what has no score."""
    if len(factors) < FEWEST:
        raise DataError(f"disentanglement is between factors, but {factors[0].name!r} is the only one; name another")
    for factor, column in zip(factors, codes.T, strict=True):
        found = len(column.unique())
        if found < FEWEST:
            raise DataError(
                f"factor {factor.name!r} does not vary in the {len(codes):,} rows measured whose factors are known; "
                "leave it out of factors="
            )
        if found * EACH > len(codes):
            raise DataError(
                f"factor {factor.name!r} has {found:,} values in the {len(codes):,} rows measured, and {EACH} rows for "
                "each are needed; store it rounded, leave it out of factors=, or measure more rows (--split train)"
            )


def _active(subject: Subject, scored: _Known) -> Integers:
    """The latents that have not collapsed to the prior."""
    least = ACTIVE if subject.model.is_real else 0.0
    active = np.flatnonzero(scored.z.var(0) > least)
    if not len(active):
        raise DataError(
            "all latents have collapsed to the prior, so that there is nothing to measure; train for longer, with a "
            "smaller --beta, or with a --warmup"
        )
    return active


def _half(known: _Known, random: np.random.Generator) -> _Known:
    return known.some(random.permutation(len(known))[: len(known) // 2])


def _scores(fitted: _Known, scored: _Known, ordered: Sequence[bool], random: np.random.Generator) -> _Scores:
    seed, workers = int(random.integers(2**31)), torch.get_num_threads()
    importance, told = importances(fitted.z, fitted.v, scored.z, scored.v, ordered, seed=seed, workers=workers)
    shares = mutual_information(scored.z, scored.v) / np.maximum(entropies(scored.v), np.finfo(np.float64).tiny)
    return _Scores(
        {
            "mutual information gap": float(lead(shares).mean()),
            "DCI disentanglement": disentanglement(importance),
            "DCI completeness": completeness(importance),
            "DCI informativeness": float(told.mean()),
            "SAP": float(lead(predictability(scored.z, scored.v, ordered)).mean()),
            "FactorVAE score": factor_vae_score(fitted.z, fitted.v, scored.z, scored.v, random),
        },
        shares,
        importance,
        told,
    )


def _finding(
    subject: Subject,
    sizes: tuple[int, int],
    factors: Sequence[Factor],
    active: Integers,
    found: _Scores,
    halves: Sequence[_Scores],
    lost: Sequence[_Scores],
) -> Finding:
    """The scores as figures, a table and two charts."""
    error = {name: float(np.std([each.total[name] for each in halves], ddof=1)) for name in found.total}
    chance = {name: float(np.mean([each.total[name] for each in lost])) for name in found.total}
    fitted, scored = sizes
    names = [factor.name for factor in factors]
    title = f"{subject.split}: latents and the factors {', '.join(names)}, {scored:,} rows"
    rows: list[list[Cell]] = [
        [name, *(round(100 * of[name], 2) for of in (found.total, error, chance))] for name in found.total
    ]
    figures = {
        "scores": found.total,
        "standard_error": error,
        "chance": chance,
        "n": scored,
        "fitted_on": fitted,
        "factors": [factor.model_dump() for factor in factors],
        "latents": active.tolist(),  # those that have not collapsed, counted from 0
        "share_of_entropy": found.shares.tolist(),  # [latents, F]
        "importance": found.importance.tolist(),  # [latents, F]
        "told": found.told.tolist(),  # [F]
    }
    return Finding(
        title,
        figures,
        ("score, %", "value", "standard error", "by chance"),
        rows,
        _notes(fitted, factors, len(active), len(halves)),
        (_against_chance(found.total, chance, title), _best_two(found.shares, names, active + 1)),
    )


def _notes(fitted: int, factors: Sequence[Factor], active: int, repeats: int) -> list[str]:
    ceiling = 100 * float(np.mean([1.0 if factor.ordered else 1 - 1 / factor.distinct for factor in factors]))
    notes = [
        f"of the {active} latents that have not collapsed to the prior; mutual information by histograms of their "
        f"means, {BINS} bins of equal width; forests and votes are fitted on {fitted:,} other rows; by chance: rows of "
        f"latents permuted, mean of {repeats}"
    ]
    if ceiling < 100:
        notes.append(f"SAP of the factors themselves is {ceiling:.1f}, for those without an order start from chance")
    return notes


def _against_chance(value: Mapping[str, float], chance: Mapping[str, float], title: str) -> Chart:
    series = {"this model": value, "by chance": chance}
    points = {name: [(float(place), y) for place, y in enumerate(of.values())] for name, of in series.items()}
    said = ", ".join(f"{name} {y:.2f} (by chance {chance[name]:.2f})" for name, y in value.items())
    return Chart("bars", "", "score", points, SHORT, words=f"{title}: {said}")


def _best_two(shares: Reals, names: Sequence[str], latents: Integers) -> Chart:
    """The mutual information gap of each factor, as the two bars that it is between."""
    padded = np.concatenate([shares, np.zeros((1, len(names)))])
    order = np.argsort(-padded, axis=0, kind="stable")[:2]  # [2, F]
    best = np.take_along_axis(padded, order, axis=0)
    points = {
        name: [(float(place), float(y)) for place, y in enumerate(row)]
        for name, row in zip(("the first latent", "the second"), best, strict=True)
    }
    called = [*(f"z{latent}" for latent in latents), "none"]
    said = "; ".join(
        f"{name}: {called[order[0, place]]} {best[0, place]:.2f}, {called[order[1, place]]} {best[1, place]:.2f}"
        for place, name in enumerate(names)
    )
    words = f"The two latents that tell most of each factor, as shares of its entropy; {said}"
    return Chart("bars", "", "share of entropy told", points, names, words=words)
