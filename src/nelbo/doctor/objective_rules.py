"""Rules on what was minimised: the reported terms against the model's own, the warm-up, what did not learn."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from nelbo.doctor.finding import FAULT, WARNING, Finding, NextStep
from nelbo.doctor.patient import ROWS, Patient
from nelbo.doctor.thresholds import CLOSE_TO, NOT_ANNEALED, OFF_TERMS, SURE, TELLING_KL
from nelbo.doctor.wording import nats, percent, plain
from nelbo.plugins import origin

__all__ = ["OBJECTIVE_RULES", "PatientRule"]

PatientRule = Callable[[Patient], Finding | None]

FEWEST_DIMENSIONS = 4  # with which a mean over them tells itself from a sum
TINY_RATE = 1e-6
RESTORED = "Train with the bound, whose terms are both sums."
PLAIN = frozenset({"elbo"})  # objectives whose loss is -likelihood + beta KL


def terms_of_the_loss(patient: Patient) -> Finding | None:
    """Reported terms of the kept epoch, held against the model's own on the same rows."""
    record = kept_record(patient)
    flipped = _negative_kl(patient, record)
    own = None
    if record and len(patient.job.split.validation):
        own = patient.terms("validation", 2 * ROWS)
    if flipped is not None or own is None or not record:
        return flipped
    if _unchanged(patient, "posterior") or _unchanged(patient, "likelihood"):
        return None  # which says more
    likelihood, kl = float(own.log_px.mean()), float(own.kl.mean())
    error = float(own.log_px.std() / math.sqrt(len(own.log_px))) if len(own.log_px) > 1 else math.inf
    dim, beta = patient.job.spec.dim, patient.job.settings.beta
    loss, reported = record.get("loss"), record.get("likelihood")
    figures: dict[str, Any] = {"reported": reported, "own_likelihood": likelihood, "own_kl": kl, "dimensions": dim}

    def near(value: float, wanted: float) -> bool:
        return abs(value - wanted) <= CLOSE_TO * abs(wanted)

    averaged = False
    if reported is not None and math.isfinite(reported):
        off = abs(reported - likelihood) > max(OFF_TERMS * abs(likelihood), SURE * error)
        averaged = off and dim >= FEWEST_DIMENSIONS and near(reported, likelihood / dim)
        told = f"The likelihood reported while training was {plain(reported)} nats, the model's own is"
    elif loss is not None and math.isfinite(loss) and _is_judged(patient):
        wanted = beta * kl - likelihood
        off = abs(loss - wanted) > max(OFF_TERMS * abs(wanted), SURE * error)
        averaged = off and dim >= FEWEST_DIMENSIONS and near(loss, beta * kl - likelihood / dim)
        told = f"The loss reported while training was {plain(loss)} nats, minus the model's own likelihood is"
        likelihood = -likelihood
    else:
        return None
    step = NextStep(RESTORED, patient.evidence.train(objective="elbo"))
    if averaged:
        text = (
            f"{told} {plain(likelihood)}: {plain(likelihood / (reported or loss or 1.0))} times as much, and a row has "
            f"{dim} dimensions."
        )
        return Finding("likelihood-averaged", FAULT, text, "likelihood averaged, KL summed", (step,), figures)
    if not off or not _is_plain(patient):
        return None
    text = f"{told} {plain(likelihood)}."
    return Finding("terms-off", WARNING, text, "the loss is not made of the model's terms", (step,), figures)


def weight_of_the_kl(patient: Patient) -> Finding | None:
    """The weight of the KL that the reported parts imply, against the one that was set."""
    record, settings = kept_record(patient), patient.job.settings
    loss, likelihood, kl = (record.get(name) for name in ("loss", "likelihood", "kl"))
    if not _is_judged(patient) or loss is None or likelihood is None or kl is None or abs(kl) < TELLING_KL:
        return None
    implied = (loss + likelihood) / abs(kl)
    if not math.isfinite(implied) or abs(implied - settings.beta) <= max(OFF_TERMS * settings.beta, OFF_TERMS):
        return None
    if implied > 0 and not _is_plain(patient):
        return None  # an objective of the user's own may weigh it as it likes
    step = NextStep(RESTORED, patient.evidence.train(objective="elbo"))
    figures = {"implied": implied, "beta": settings.beta}
    text = f"The reported loss weighs the KL by {plain(implied)}, where beta was set to {plain(settings.beta)}."
    if implied < 0:
        return Finding("kl-sign", FAULT, text, "the KL has the wrong sign", (step,), figures)
    return Finding("terms-off", WARNING, text, "the KL is weighted otherwise than set", (step,), figures)


def not_annealed(patient: Patient) -> Finding | None:
    """A warm-up that had not reached its end when training did."""
    metrics, settings = patient.evidence.history.weights, patient.job.settings
    if settings.warmup == "none" or patient.evidence.history.has_failed:
        return None  # what broke a training off left its warm-up unfinished too
    for name, course in metrics.items():
        if not len(course) or not math.isfinite(course[-1]):
            continue
        final = settings.beta if name == "beta" else float(max(course))
        moving = name != "beta" and len(course) > 1 and course[-1] > course[-2]
        if not moving and course[-1] >= NOT_ANNEALED * final:
            continue
        share = course[-1] / final if final else 1.0
        text = f"{name} stood at {plain(float(course[-1]))} in the last epoch, {percent(share)} of its final value."
        why = "A shorter warm-up leaves most of the run to the final objective."
        step = NextStep(why, patient.case.train(warmup="linear:0.2", time_limit=None))
        figures = {"weight": float(course[-1]), "final": final}
        return Finding("kl-not-annealed", WARNING, text, "the warm-up did not end", (step,), figures)
    return None


def frozen_encoder(patient: Patient) -> Finding | None:
    """An encoder whose weights are those of the seed."""
    if not _unchanged(patient, "posterior") or _both_unchanged_by_rate(patient):
        return None
    return _frozen(patient, "encoder")


def frozen_decoder(patient: Patient) -> Finding | None:
    """A decoder whose weights are those of the seed."""
    if not _unchanged(patient, "likelihood") or _both_unchanged_by_rate(patient):
        return None
    return _frozen(patient, "decoder")


def kept_record(patient: Patient) -> Mapping[str, Any]:
    """The figures, on validation rows, of the epoch whose weights were kept; empty where there are none."""
    history = patient.evidence.history
    if not len(history) or not history.has_validation:
        return {}
    best = history.best_epoch if patient.job.settings.keep == "best" else None
    return history.record("validation", best)


def _negative_kl(patient: Patient, record: Mapping[str, Any]) -> Finding | None:
    """A reported KL far below 0."""
    history = patient.evidence.history
    worst = history.curve("train", "kl")
    kl = record.get("kl") if record else (float(worst[-1]) if len(worst) else None)
    if kl is None or not math.isfinite(kl) or kl > -TELLING_KL:
        return None
    # A Monte Carlo estimate of a small KL may fall below 0, but not far.
    step = NextStep("Train with the bound, which adds the KL.", patient.evidence.train(objective="elbo"))
    text = f"The KL was reported as {nats(float(kl))} nats, and a KL is never negative."
    return Finding("kl-sign", FAULT, text, "the KL is negative", (step,), {"kl": float(kl)})


def _is_plain(patient: Patient) -> bool:
    return patient.job.settings.objective.partition(":")[0] in PLAIN


def _is_judged(patient: Patient) -> bool:
    """Whether the loss should be minus the likelihood plus a KL: by its name, or because it is the user's own."""
    return _is_plain(patient) or origin(f"objective/{patient.job.settings.objective.partition(':')[0]}") is not None


def _unchanged(patient: Patient, group: str) -> bool:
    """Whether every trainable network weight of a part is what the seed made it."""
    if patient.model is None or not patient.evidence.history.steps:
        return False
    before = dict(patient.initial.model.named_parameters())
    parts = [getattr(part, "network", part) for part in patient.model.sides().by_part[group]]
    own = {id(p) for part in parts for p in part.parameters()}
    pairs = [(p, before.get(n)) for n, p in patient.model.named_parameters() if id(p) in own]
    known = [(now, then) for now, then in pairs if then is not None and now.shape == then.shape]
    return bool(known) and all(torch.equal(now.detach(), then.detach()) for now, then in known)


def _both_unchanged_by_rate(patient: Patient) -> bool:
    """Whether nothing moved because no step was large enough to show in single precision."""
    tiny = patient.job.settings.lr < TINY_RATE
    return tiny and _unchanged(patient, "posterior") and _unchanged(patient, "likelihood")


def _frozen(patient: Patient, name: str) -> Finding:
    steps = patient.evidence.history.steps
    text = f"After {steps:,} steps every weight of the {name} is the one it started with."
    step = NextStep("Train all parts.", patient.evidence.train(objective="elbo"))
    return Finding(f"frozen-{name}", FAULT, text, f"the {name} did not learn", (step,), {"steps": steps})


OBJECTIVE_RULES: tuple[PatientRule, ...] = (
    terms_of_the_loss,
    weight_of_the_kl,
    not_annealed,
    frozen_encoder,
    frozen_decoder,
)
