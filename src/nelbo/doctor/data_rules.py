"""Rules over the data and what was chosen for them; nothing trained is needed."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nelbo.data import Kind, evenly
from nelbo.data.duplicates import copies
from nelbo.data.infer import some_names
from nelbo.data.spec import CONTINUOUS
from nelbo.doctor.case import Case
from nelbo.doctor.finding import REMARK, WARNING, Finding, NextStep
from nelbo.doctor.thresholds import (
    FAR_FROM_UNIT,
    KURTOSIS_MUCH,
    KURTOSIS_SOME,
    MANY_COPIES,
    MANY_NEAR,
    NEAR,
    NEIGHBOURS,
    SIGMAS,
    SOME_COPIES,
    UNLIKE_SCALES,
)  # fmt: skip
from nelbo.doctor.wording import count, percent, plain
from nelbo.registry import lookup

__all__ = ["DATA_RULES", "CaseRule", "constant_columns", "unscaled_columns", "wrong_likelihood"]

CaseRule = Callable[[Case], Finding | None]

TESTED = 200  # rows whose neighbours are looked for
LARGEST = 20_000_000  # values of training rows held against them
FEWEST = 30  # rows from which tails are judged
GAUSSIAN = frozenset({"gaussian"})
OF_COUNTS = "negative-binomial"


def wrong_likelihood(case: Case) -> Finding | None:
    """A density on values that are whole numbers."""
    job, kind = case.job, case.job.data.spec.kind
    transform = job.settings.transform.partition(":")[0]
    if not _is_density(case) or transform in {"dequantize", "by-column"}:
        return None
    if kind in CONTINUOUS:
        return _whole_numbers(case)
    if kind is Kind.COUNT and transform == "log1p":
        text = (
            f"These are counts, but {case.likelihood} scores their logarithms by a density, which is no probability of "
            "a count."
        )
        step = NextStep("A likelihood of counts gives them probabilities.", _for_counts(case))
        return Finding("wrong-likelihood", REMARK, text, "", (step,), {"kind": kind.value, "transform": transform})
    if transform not in {"density", "logit"}:
        return None
    text = f"The values are whole numbers ({kind.value}), but {case.likelihood} is a density of real numbers."
    step = NextStep("Leave the likelihood to the kind of the data.", _by_kind(case, kind))
    return Finding("wrong-likelihood", WARNING, text, "whole numbers under a density", (step,), {"kind": kind.value})


def constant_columns(case: Case) -> Finding | None:
    """Columns of a table with one value in all training rows."""
    if not case.is_table or not case.names:
        return None
    names, x = case.names, case.seen
    still = [name for name, low, high in zip(names, x.amin(0), x.amax(0), strict=True) if low == high]
    if not still:
        return None
    bad = _is_density(case)
    has = "has" if len(still) == 1 else "have"
    text = f"{len(still)} of {count(len(names), 'column')} {has} the same value in every row: {some_names(still)}."
    steps: tuple[NextStep, ...] = ()
    if len(still) < len(names):
        drop = (*case.job.settings.drop, *still)
        steps = (NextStep("Leave out what never changes.", case.train(drop=drop)),)
    figures = {"columns": still}
    return Finding("constant-column", WARNING if bad else REMARK, text, "constant columns", steps, figures)


def heavy_tails(case: Case) -> Finding | None:
    """Columns whose kurtosis is far above a Gaussian's, under a Gaussian."""
    x = case.seen
    if case.likelihood not in GAUSSIAN or len(x) < FEWEST or not case.is_table:
        return None
    centred = x - x.mean(0)
    variance = centred.square().mean(0)
    kurtosis = torch.where(variance > 0, centred.pow(4).mean(0) / variance.square().clamp(min=1e-300) - 3, 0.0)
    worst = int(kurtosis.argmax())
    value = float(kurtosis[worst])
    if value < KURTOSIS_SOME:
        return None
    furthest = float((centred[:, worst].abs() / variance[worst].sqrt()).max())
    name = case.names[worst] if case.names else str(worst)
    text = (
        f"Column {name!r} has values up to {plain(furthest)} standard deviations from its mean (excess kurtosis "
        f"{plain(value)}; 0 for a Gaussian)."
    )
    step = NextStep("A Student's t is not pulled by extreme values.", case.train(likelihood="student-t"))
    severity = WARNING if value >= KURTOSIS_MUCH else REMARK
    return Finding("heavy-tails", severity, text, "extreme values", (step,), {"column": name, "excess_kurtosis": value})


def unscaled_columns(case: Case) -> Finding | None:
    """What a network sees has unlike or far-off scales, because nothing was scaled."""
    if case.job.spec.scaling.name != "none" or case.job.spec.kind in {Kind.BINARY, Kind.UNIT, Kind.MIXED}:
        return None
    x = case.seen
    deviation = x.std(0, correction=0)
    moving = deviation > 0
    if not bool(moving.any()):
        return None
    spread = deviation[moving]
    if not case.is_table:
        spread = x.std(correction=0).reshape(1)
    largest, smallest = float(spread.max()), float(spread.min())
    offset = float((x.mean(0)[moving].abs() / deviation[moving]).max()) if case.is_table else 0.0
    apart, far = largest / smallest, max(largest, 1 / largest)
    if apart < UNLIKE_SCALES and far < FAR_FROM_UNIT and offset < FAR_FROM_UNIT:
        return None
    text = (
        f"The networks see values with standard deviations from {plain(smallest)} to {plain(largest)}"
        + (f", and means up to {plain(offset)} of them from 0" if offset >= FAR_FROM_UNIT else "")
        + "."
    )
    step = NextStep("Let the networks see scaled values.", case.train(scaling="auto"))
    figures = {"smallest_deviation": smallest, "largest_deviation": largest, "largest_mean": offset}
    return Finding("unscaled-columns", WARNING, text, "values are not scaled", (step,), figures)


def duplicated_rows(case: Case) -> Finding | None:
    """Training rows that repeat an earlier one."""
    job = case.job
    train = job.split.train
    share = 100 * (1 - len(torch.unique(case.codes[train])) / len(train))
    if share < SOME_COPIES:
        return None
    natural = case.repeats_by_nature
    apart = job.settings.split == "copies"
    severity = WARNING if share >= MANY_COPIES and not natural and not apart else REMARK
    text = f"{percent(share / 100)} of the training rows are exact copies of others."
    step = NextStep("Keep copies of a row on one side of the split.", case.train(split="copies"))
    steps = () if apart else (step,)
    return Finding("duplicated-rows", severity, text, "rows repeat each other", steps, {"share": share / 100})


def leakage(case: Case) -> Finding | None:
    """Held-out rows that are copies, or nearly copies, of training rows."""
    job = case.job
    if job.split.how == "all" or len(job.split.test) == 0:
        return None
    train, test = job.split.train, job.split.test
    exact = 100 * copies(case.codes, test, train) / len(test)
    natural = case.repeats_by_nature
    step = NextStep("Keep copies of a row on one side of the split.", case.train(split="copies"))
    if exact >= SOME_COPIES:
        severity = WARNING if exact >= MANY_COPIES and not natural else REMARK
        text = f"{percent(exact / 100)} of the test rows are exact copies of training rows."
        return Finding("leakage", severity, text, "test rows repeat training rows", (step,), {"share": exact / 100})
    if natural or case.job.spec.dim < 3 or job.spec.kind is Kind.BINARY or len(train) <= NEIGHBOURS:
        return None
    share, expected, error = near_copies(case)
    if share - expected <= max(MANY_NEAR, SIGMAS * error):
        return None
    text = (
        f"{percent(share)} of the test rows lie next to a training row, at less than {percent(NEAR)} of the distance "
        f"to its next neighbours, where {percent(expected)} would by chance."
    )
    sequential = NextStep("Let the last rows of the file be the test rows.", case.train(split="sequential"))
    figures = {"share": share, "expected": expected, "standard_error": error}
    return Finding("leakage", WARNING, text, "test rows nearly repeat training rows", (sequential,), figures)


def near_copies(case: Case) -> tuple[float, float, float]:
    """Share of test rows much nearer to one training row than to the next ten; its expectation, and its error.

    Where rows have a density in d dimensions, the k nearest neighbours of a point lie in a ball like uniform draws, so
    that P(r_1 < e r_k) = 1 - (1 - e^d)^(k - 1). d is estimated from the mean of log(r_k / r_j), 1 / d each, as Levina
    and Bickel (2004), Maximum likelihood estimation of intrinsic dimension, do; but without the nearest, which may be a
    copy: of k - 1 such logarithms the largest has the expectation (1 + 1/2 + ... + 1/(k - 1)) / d.
    """
    job = case.job
    most = max(2 * NEIGHBOURS, LARGEST // job.spec.dim)
    train = _flat(case, evenly(job.split.train, most))
    test = _flat(case, evenly(job.split.test, TESTED))
    apart = torch.cdist(test, train)
    near = apart.topk(min(NEIGHBOURS, len(train)), largest=False).values.clamp(min=1e-12)
    k = near.shape[1]
    logs = (near[:, -1:] / near[:, 1:-1]).log().mean(1)
    harmonic = sum(1 / j for j in range(1, k))
    dimension = (k - 1 - harmonic) / (k - 2) / float(logs.mean().clamp(min=1e-3))
    expected = 1 - (1 - NEAR**dimension) ** (k - 1)
    share = float((near[:, 0] < NEAR * near[:, -1]).double().mean())
    error = math.sqrt(max(share * (1 - share), 1 / len(test)) / len(test))
    return share, expected, error


def _flat(case: Case, rows: Tensor) -> Tensor:
    """Rows [N, D], each column divided by its standard deviation in a table."""
    x = case.job.data.x.index_select(0, rows).flatten(1).float()
    if not case.is_table:
        return x
    scale = case.job.data.x.index_select(0, evenly(case.job.split.train, 5_000)).flatten(1).float().std(0)
    return x / torch.where(scale > 0, scale, 1.0)


def _is_density(case: Case) -> bool:
    return bool(getattr(lookup(f"likelihood/{case.likelihood}"), "density", False))


def _whole_numbers(case: Case) -> Finding | None:
    """Data that were called continuous, or look so because of a few columns."""
    x = case.job.data.x.index_select(0, evenly(case.job.split.train, 20_000)).flatten(1)
    whole = (x == x.round()).all(0)
    moving = x.amin(0) != x.amax(0)
    if not bool((whole & moving).any()):
        return None
    discrete = whole & moving
    share = float(discrete.sum() / moving.sum())
    if share == 1:
        kind = Kind.BINARY if bool(((x == 0) | (x == 1)).all()) else Kind.COUNT
        if float(x.min()) < 0:
            return None  # whole, but no counts
        text = f"All values are whole numbers ({kind.value}), but {case.likelihood} is a density of real numbers."
        step = NextStep("Say what the values are.", _by_kind(case, kind))
        figures = {"kind": kind.value, "share_of_columns": share}
        return Finding("wrong-likelihood", WARNING, text, "whole numbers under a density", (step,), figures)
    if not case.is_table or not case.names:
        return None
    named = [name for name, one in zip(case.names, discrete.tolist(), strict=True) if one]
    text = f"{len(named)} of {len(case.names)} columns hold whole numbers only, under a density: {some_names(named)}."
    step = NextStep("Give each column a likelihood of its own kind.", _mixed(case))
    return Finding("wrong-likelihood", REMARK, text, "", (step,), {"columns": named, "share_of_columns": share})


def _by_kind(case: Case, kind: Kind) -> str:
    if kind is Kind.COUNT:
        return _for_counts(case)
    return case.train(likelihood="auto", transform="auto", binarize="none", scaling="auto", kind=kind.value)


def _for_counts(case: Case) -> str:
    return case.train(likelihood=OF_COUNTS, transform="auto", scaling="auto", kind=Kind.COUNT.value)


def _mixed(case: Case) -> str:
    return case.train(likelihood="mixed", transform="auto", scaling="auto", kind=None)


DATA_RULES: tuple[CaseRule, ...] = (
    wrong_likelihood,
    constant_columns,
    heavy_tails,
    unscaled_columns,
    duplicated_rows,
    leakage,
)
