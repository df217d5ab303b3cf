"""Rules on the fitted model: its latents, its variances, the data it makes, and how far its encoder lags behind."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from nelbo.data import Kind
from nelbo.doctor.course_rules import lost_on_new
from nelbo.doctor.evidence import MARGINALS
from nelbo.doctor.figure_rules import revive
from nelbo.doctor.finding import FAULT, REMARK, WARNING, Finding, NextStep
from nelbo.doctor.objective_rules import PatientRule
from nelbo.doctor.patient import Patient
from nelbo.doctor.thresholds import (
    AT_FLOOR_MUCH,
    COLLAPSED,
    LAGS_MUCH,
    LAGS_NATS,
    LAGS_SOME,
    MISSED_ZEROS,
    OFF_RANKS,
    OVERFLOW,
    REPEATS,
    SAME,
    SIGMAS,
    SURE,
    TOO_WIDE,
)  # fmt: skip
from nelbo.doctor.wording import count, nats, percent, plain
from nelbo.errors import NelboError
from nelbo.evaluate.best_posterior import Search, best_posteriors
from nelbo.evaluate.likelihood import standard_error
from nelbo.evaluate.measures.gap import gaps
from nelbo.evaluate.ranks import FEWEST, pooled, uniform_ranks
from nelbo.models.activity import ACTIVE
from nelbo.noise import own_noise

__all__ = ["MODEL_RULES"]

REPLICATED = 250  # rows that data are made for
DRAWS = 39  # of x a row
SEARCHED = 24  # rows whose best posterior is looked for
SEARCH = Search(steps=80, pairs=3)
SAMPLES = 50  # draws of their bounds
ENOUGH_PAIRS = 30  # rows that a correlation needs

# What to try where a likelihood is too narrow, too wide or of the wrong shape.
RICHER = {
    "poisson": "negative-binomial",
    "negative-binomial": "zero-inflated-negative-binomial",
    "discretized-logistic": "discretized-logistic-mixture",
    "exponential": "gamma",
}


def collapse(patient: Patient) -> Finding | None:
    """Whether the codes of all rows together carry next to nothing; of how many latents that is so."""
    found = patient.latents
    if found is None or patient.model is None or not patient.model.abilities.density:
        return None
    active, total = found.summary.active_units, found.means.shape[1]
    terms = patient.held_out_terms
    rate = found.summary.rate
    if rate is None or terms is None or not math.isfinite(rate):
        return None
    kl = None if found.summary.kl is None else [round(value, 4) for value in found.summary.kl.tolist()]
    figures = {"kl": rate, "kl_per_latent": kl, "active": active, "latents": total, "rows": len(found.means)}
    if active == 0 or rate < COLLAPSED:
        text = (
            f"On {len(found.means)} {patient.held_out} rows the KL is {nats(rate)} nats, and {active} of "
            f"{count(total, 'latent')} vary with the data."
        )
        step = revive(patient.evidence)
        return Finding("posterior-collapse", FAULT, text, "all latents collapsed", (step,), figures)
    if active > total // 4:
        return None
    text = f"{active} of {count(total, 'latent')} vary with the data; the posterior means of the others stay put."
    step = NextStep("As few latents do as well.", patient.evidence.train(latent=max(2, 2 * active)))
    return Finding("dead-latents", REMARK, text, "", (step,), figures)


def duplicates(patient: Patient) -> Finding | None:
    """Active latents whose posterior means are all but the same, by the lower end of their correlation (Fisher's z)."""
    found = patient.latents
    if found is None or patient.model is None or not patient.model.is_real:
        return None
    active = (found.summary.variance_of_means > ACTIVE).nonzero()[:, 0]
    means = found.means[:, active]
    if means.shape[1] < 2 or len(means) < ENOUGH_PAIRS:
        return None
    correlation = torch.corrcoef(means.T).fill_diagonal_(0.0).abs()
    z = torch.atanh(correlation.clamp(max=1 - 1e-9)) - SURE / math.sqrt(len(means) - 3)
    alike = (torch.tanh(z) > SAME).triu()
    if not bool(alike.any()):
        return None
    pairs = [[int(active[i]), int(active[j])] for i, j in alike.nonzero().tolist()]
    first = pairs[0]
    strongest = float(correlation[alike].max())
    text = (
        f"{count(len(pairs), 'pair')} of latents {'goes' if len(pairs) == 1 else 'go'} up and down together: the means "
        f"of latents {first[0]} and {first[1]} have a correlation of {plain(strongest)}."
    )
    fewer = max(1, patient.job.settings.latent - len({j for _, j in pairs}))
    step = NextStep("Leave out the latents that repeat others.", patient.evidence.train(latent=fewer))
    figures = {"pairs": pairs, "largest_correlation": strongest}
    severity = WARNING if strongest > REPEATS else REMARK
    return Finding("duplicate-latents", severity, text, "latents repeat each other", (step,), figures)


def overflow(patient: Patient) -> Finding | None:
    """Log-variances beyond every reason."""
    found = patient.latents
    if found is None or found.largest_log_variance <= OVERFLOW:
        return None
    text = (
        f"The largest log-variance of the {found.where.partition('.')[0]} on {len(found.means)} rows is "
        f"{plain(found.largest_log_variance)}, a standard deviation of e^{plain(found.largest_log_variance / 2)} in "
        "the units of the network."
    )
    step = NextStep(
        "Take smaller steps and limit the gradient.", patient.case.train(lr=patient.evidence.lower_rate, clip=100.0)
    )
    figures = {"largest_log_variance": found.largest_log_variance, "module": found.where}
    return Finding("log-variance-overflow", WARNING, text, "variances without bounds", (step,), figures)


def floors(patient: Patient) -> Finding | None:
    """Log-variances on their floor, where no evaluation has said so."""
    found = patient.latents
    if found is None or patient.evidence.evaluation is not None:
        return None
    shares = found.summary.share_at_floor
    name, share = max(shares.items(), key=lambda item: item[1], default=("", 0.0))
    if share <= AT_FLOOR_MUCH:
        return None
    floor = patient.job.settings.min_log_variance
    text = f"{percent(share)} of the log-variances of the {name.partition('.')[0]} sit on their floor of {nats(floor)}."
    step = NextStep(
        "Lower the floor and see whether the figures move.", patient.evidence.train(min_log_variance=floor - 6)
    )
    figures = {"share": share, "floor": floor, "module": name}
    return Finding("variance-at-floor", WARNING, text, "variances at floor", (step,), figures)


def misfit(patient: Patient) -> Finding | None:
    """Data made at the codes of held-out rows against these rows: spread, zeros, ranks.

    z ~ q(z given x) of a row and x' ~ p(x given z): where the likelihood and q are right, x' of all rows are
    distributed as x of all rows are, column by column, and x ranks uniformly among draws of x' at one z.
    """
    model = patient.model
    if model is None or not model.abilities.density:
        return None
    # Few rows are held out of a small table; of those trained on the same is true.
    part = patient.held_out if len(getattr(patient.job.split, patient.held_out)) >= FEWEST else "train"
    x, replicated, ranks = _replicated(patient, part)
    if len(x) < FEWEST:
        return None
    apart, error = _log_ratio_of_variances(x, replicated)
    zeros = float((replicated == 0).double().mean() - (x == 0).double().mean())
    of_rows = ((replicated == 0).double() - (x == 0).double()).mean(1)
    together = pooled(ranks)
    discrete = patient.job.spec.kind in {Kind.COUNT, Kind.MIXED} and bool((x == x.round()).all())
    wide = abs(apart) > TOO_WIDE and abs(apart) > SURE * error
    lacking = discrete and abs(zeros) > MISSED_ZEROS and abs(zeros) > SURE * standard_error(of_rows)
    off = together.distance > OFF_RANKS and together.distance - SURE * together.standard_error > together.threshold
    if not (wide or lacking or off):
        return None
    if wide:
        what = "wider" if apart > 0 else "narrower"
        text = (
            f"Data that the model makes at the codes of {len(x)} {part} rows are {what} than these rows: "
            f"their variance is {plain(math.exp(apart))} times that of the data."
        )
    elif lacking:
        text = (
            f"{percent(float((x == 0).double().mean()))} of the values of {len(x)} {part} rows are 0, and "
            f"{percent(float((replicated == 0).double().mean()))} of those that the model makes at their codes."
        )
    else:
        text = (
            f"The values of {len(x)} {part} rows are off among draws of the model at their codes: "
            f"{percent(together.covered['50 %'])} of them lie in its central 50\u00a0%."
        )
    figures = {
        "log_ratio_of_variances": apart, "standard_error": error, "zeros_made_less_zeros": zeros,
        "ks_distance": together.distance, "ks_threshold": together.threshold, "rows": len(x),
    }  # fmt: skip
    return Finding("likelihood-misfit", WARNING, text, "makes data unlike the data", (_richer(patient),), figures)


def amortisation(patient: Patient) -> Finding | None:
    """The bound of the best posterior of each of a few rows, above that of the encoder's."""
    model, found = patient.model, patient.latents
    if model is None or found is None or not model.abilities.density or not model.is_real:
        return None
    rate = found.summary.rate
    if rate is None or not math.isfinite(rate) or rate < COLLAPSED:
        return None
    try:
        best = best_posteriors(model, patient.batches(patient.held_out, SEARCHED), SEARCH, SAMPLES)
    except NelboError:
        return None  # a posterior of which there is no best one
    gauged = gaps(best)["amortisation_gap"]
    gap, error = gauged.value, math.hypot(gauged.standard_error or math.inf, gauged.monte_carlo_error or math.inf)
    if not gap > max(LAGS_NATS, LAGS_SOME * rate, SIGMAS * error):
        return None
    text = (
        f"With a code of its own for each of {best.log_w.shape[1]} {patient.held_out} rows the bound rises by "
        f"{nats(gap)} nats (standard error {nats(error)}), where the codes carry {nats(rate)}."
    )
    step = NextStep("A larger encoder follows the rows better.", _larger(patient))
    figures = {"gap": gap, "standard_error": error, "kl": rate}
    severity = WARNING if gap - SIGMAS * error > LAGS_MUCH * rate else REMARK
    return Finding("amortisation-gap", severity, text, "the encoder lags behind", (step,), figures)


def generalisation(patient: Patient) -> Finding | None:
    """The bound on training rows against that on held-out rows, where no evaluation compared them with a baseline."""
    train, held = patient.training_terms, patient.held_out_terms
    if train is None or held is None or patient.evidence.evaluation is not None or patient.job.split.how == "all":
        return None
    gap = float(train.bound.mean() - held.bound.mean())
    error = math.hypot(standard_error(train.bound), standard_error(held.bound))
    if patient.marginals is not None:
        gained = float(train.bound.mean()) - patient.marginals
        return lost_on_new(patient.evidence, gap, gained, error, patient.held_out, MARGINALS)
    rate = float(train.kl.mean())  # without a baseline what a row says beyond an average one
    return lost_on_new(patient.evidence, gap, rate, error, patient.held_out, "a model without codes")


@torch.inference_mode()
def _replicated(patient: Patient, part: str) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, one row made at the code of each, and the ranks of the rows among such, [N, D] each."""
    model = patient.model
    assert model is not None
    seen, made, ranks = [], [], []
    with own_noise():
        for batch in patient.batches(part, REPLICATED):
            px = model.decode(model.encode(batch).sample(), batch.context)
            draws = [px.sample() for _ in range(DRAWS)]
            seen.append(batch.x.flatten(1).double())
            made.append(draws[0].flatten(1).double())
            ranks.append(uniform_ranks(batch.x, draws).flatten(1))
    return torch.cat(seen), torch.cat(made), torch.cat(ranks)


def _log_ratio_of_variances(x: Tensor, replicated: Tensor) -> tuple[float, float]:
    """Log of replicated over observed variance, the median over columns, and its error (delta method).

    Var(log s^2) = (kurtosis - 1) / N of each side; columns hang together, so that of one column is taken.
    """
    moving = x.var(0) > 0
    if not bool(moving.any()):
        return 0.0, math.inf
    sides = [side[:, moving] for side in (x, replicated)]
    logs, errors = [], []
    for side in sides:
        centred = side - side.mean(0)
        variance = centred.square().mean(0)
        logs.append(variance.clamp(min=1e-300).log())
        kurtosis = centred.pow(4).mean(0) / variance.square().clamp(min=1e-300)
        errors.append((kurtosis.nan_to_num(1.0) - 1).clamp(min=0) / len(side))
    ratio = logs[1] - logs[0]
    middle = int(ratio.argsort()[len(ratio) // 2])
    return float(ratio[middle]), float((errors[0] + errors[1])[middle].sqrt())


def _richer(patient: Patient) -> NextStep:
    """A likelihood with a parameter more, where there is one for these data."""
    settings = patient.job.settings
    name, _, options = settings.likelihood.partition(":")
    if name == "gaussian" and "datum" not in options:
        why = "Let the variance be learnt, and depend on z."
        return NextStep(why, patient.evidence.train(likelihood="gaussian:sigma=datum"))
    if name == "gaussian":
        return NextStep("Allow for heavier tails.", patient.evidence.train(likelihood="student-t"))
    if name in RICHER and not (name == "discretized-logistic" and patient.case.is_table):
        why = "A likelihood with one parameter more can be wider and narrower."
        return NextStep(why, patient.evidence.train(likelihood=RICHER[name]))
    return NextStep("Train for longer with smaller steps.", patient.evidence.train(lr=patient.evidence.lower_rate))


def _larger(patient: Patient) -> str:
    return patient.evidence.train(hidden=tuple(2 * size for size in patient.job.settings.hidden))


MODEL_RULES: tuple[PatientRule, ...] = (
    collapse,
    duplicates,
    overflow,
    floors,
    generalisation,
    misfit,
    amortisation,
)
