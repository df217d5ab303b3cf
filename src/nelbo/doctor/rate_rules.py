"""Rules on the learning rate: where the course of a run raises the question, short trials answer it."""

from __future__ import annotations

import math

import numpy as np

from nelbo.core import Objective
from nelbo.doctor.finding import FAULT, WARNING, Finding, NextStep
from nelbo.doctor.objective_rules import PatientRule
from nelbo.doctor.patient import Patient
from nelbo.doctor.thresholds import ENOUGH, MOVED, SIGMAS, TRIAL_FACTOR, TRIAL_SECONDS, TRIAL_SHARE, TRIAL_STEPS
from nelbo.doctor.trial import losses, trial
from nelbo.doctor.wording import count, nats, plain
from nelbo.evaluate.likelihood import standard_error

__all__ = ["RATE_RULES"]

FEWEST = 10  # steps of a trial
LOWERED = 6  # times that a rate is lowered by the factor of a trial


def learning_rate(patient: Patient) -> Finding | None:
    """Whether a trial at a thirtieth, or thirty times, of the learning rate goes better than the whole run did.

    Or at nine hundred times, where thirty are not enough. A trial takes a quarter of the run's steps at most, from the
    same first weights, and is held against the run row by row. Where a trial at the run's own rate goes better as well,
    the rate is not to blame, unless a smaller one goes better than that too.
    """
    if len(patient.initial.phases) != 1:
        return None
    if patient.model is None:
        return _without_a_model(patient)
    if not patient.is_as_planned:
        return None
    high, low = _may_be_high(patient), _may_be_low(patient)
    steps = min(TRIAL_STEPS, patient.evidence.history.steps // TRIAL_SHARE)
    if not (high or low) or steps < FEWEST:
        return None
    rate = patient.job.settings.lr
    # A rate that is too high may look as if the run only was too short: the smaller one is tried in any case.
    tried = [(1 / TRIAL_FACTOR, "learning-rate-high")]
    if low:
        tried += [(TRIAL_FACTOR**power, "learning-rate-low") for power in (1, 2)]
    for factor, key in tried:
        other = trial(patient.job, rate * factor, steps, TRIAL_SECONDS)
        gain = _gain(patient, other, patient.trained)
        if gain is None:
            continue
        own = trial(patient.job, rate, steps, TRIAL_SECONDS)
        # At a rate that is too high any end is better than some other; a thirtieth is slower where it is not.
        leaps = factor < 1 and own is not None and _gain(patient, other, own) is not None
        if not leaps and _gain(patient, own, patient.trained) is not None:
            return None
        better, error = gain
        new = float(f"{rate * factor:.1g}")
        text = (
            f"{count(steps, 'step')} at a learning rate of {plain(new)} end {nats(better)} nats (standard error "
            f"{nats(error)}) better than all {patient.evidence.history.steps:,} at {plain(rate)} did."
        )
        step = NextStep(f"Take {'smaller' if factor < 1 else 'larger'} steps.", patient.case.train(lr=new))
        figures = {"lr": rate, "tried": new, "gain": better, "standard_error": error, "steps": steps}
        title = f"the learning rate is too {'high' if factor < 1 else 'low'}"
        return Finding(key, WARNING, text, title, (step,), figures)
    return None


def _without_a_model(patient: Patient) -> Finding | None:
    """A run that left no model: whether its first steps fail and do not at a lower rate, or go better at one."""
    rate = patient.job.settings.lr
    steps = min(TRIAL_STEPS, patient.case.steps)
    own = trial(patient.job, rate, steps, TRIAL_SECONDS)
    if own is not None:
        return _gentler(patient, own, steps)
    said = f"{count(steps, 'step')} at a learning rate of {plain(rate)} end in a loss that is not a number"
    for power in range(1, LOWERED + 1):
        lower = float(f"{rate / TRIAL_FACTOR**power:.1g}")
        if trial(patient.job, lower, steps, TRIAL_SECONDS) is not None:
            text = f"{said}; at {plain(lower)} they do not."
            step, figures = NextStep("Take smaller steps.", patient.case.train(lr=lower)), {"lr": rate, "tried": lower}
            return Finding("learning-rate-high", FAULT, text, "the learning rate is too high", (step,), figures)
    step = NextStep("Limit the gradient and take smaller steps.", patient.case.train(lr=lower, clip=100.0))
    text = f"{said}, and so do as many at {plain(lower)}."
    return Finding("diverged", FAULT, text, "training diverged", (step,), {"lr": rate, "tried": lower})


def _gentler(patient: Patient, own: Objective, steps: int) -> Finding | None:
    """First steps that did not fail, of a training that did: whether as many smaller ones go better."""
    rate = patient.job.settings.lr
    if not patient.evidence.history.has_failed:
        return None
    gain = _gain(patient, trial(patient.job, rate / TRIAL_FACTOR, steps, TRIAL_SECONDS), own)
    if gain is None:
        return None
    better, error = gain
    lower = float(f"{rate / TRIAL_FACTOR:.1g}")
    text = (
        f"{count(steps, 'step')} at a learning rate of {plain(lower)} end {nats(better)} nats (standard error "
        f"{nats(error)}) better than as many at {plain(rate)}, which fail later."
    )
    figures = {"lr": rate, "tried": lower, "gain": better, "standard_error": error, "steps": steps}
    step = NextStep("Take smaller steps.", patient.case.train(lr=lower))
    return Finding("learning-rate-high", FAULT, text, "the learning rate is too high", (step,), figures)


def _gain(patient: Patient, tried: Objective | None, other: Objective) -> tuple[float, float] | None:
    """How much better a trial ended than the run, or another trial, with its error over rows; None where it did not."""
    if tried is None:
        return None
    batches = patient.batches("train")
    gains = losses(other, batches) - losses(tried, batches)
    if bool(gains.isinf().any()):
        return (math.inf, 0.0) if bool((gains == math.inf).any()) else None
    better, error = float(gains.mean()), standard_error(gains)
    return (better, error) if better > max(SIGMAS * error, MOVED * patient.job.spec.dim) else None


def _may_be_high(patient: Patient) -> bool:
    """The loss ended worse than it once was, or leapt about, or the latents died."""
    history, latents = patient.evidence.history, patient.latents
    if not history.is_finite or (latents is not None and latents.summary.active_units == 0):
        return True
    y = history.objective
    y = y[np.isfinite(y)]
    if len(y) < 3:
        return patient.evidence.loses
    steps = np.diff(y)
    down = float(-steps[steps < 0].sum())
    fell = float(y.max() - y[-1]) > MOVED * patient.job.spec.dim
    return fell or down > 0.5 * float(y.max() - y.min()) or y[-1] < y[0] or patient.evidence.loses


def _may_be_low(patient: Patient) -> bool:
    """The objective still rose at the end, or hardly moved at all, or the run was too short to tell, or won nothing."""
    evidence, latents = patient.evidence, patient.latents
    few = len(evidence.history) < ENOUGH
    dead = latents is not None and latents.summary.active_units == 0
    y = evidence.history.objective
    still = len(y) > 1 and not float(y[-1] - y[0]) > MOVED * evidence.spec.dim
    return few or dead or still or evidence.still_rises or evidence.ran_out_of_rate or evidence.loses


RATE_RULES: tuple[PatientRule, ...] = (learning_rate,)
