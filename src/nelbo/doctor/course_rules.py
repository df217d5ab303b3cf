"""Rules over the files of a run on how training went; each looks at one thing and says at most one thing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from nelbo.data.spec import CONTINUOUS
from nelbo.doctor.commands import resume_command
from nelbo.doctor.evidence import MARGINALS, Evidence
from nelbo.doctor.finding import FAULT, GOOD, REMARK, WARNING, Finding, NextStep
from nelbo.doctor.thresholds import (
    ENOUGH,
    FAR_FROM_DONE,
    LOST_MUCH,
    LOST_SOME,
    MANY_COPIES,
    MAX_SIDE,
    MIN_SIDE,
    MUCH_OF_CODES,
    MUCH_OF_GAIN,
    SIGMAS,
    SMALLEST_NET,
    SOME_COPIES,
)  # fmt: skip
from nelbo.doctor.wording import count, nats, percent
from nelbo.networks import options
from nelbo.runs.folder import FAILED
from nelbo.train.job import AIM_STEPS

__all__ = ["COURSE_RULES"]

Rule = Callable[[Evidence], Finding | None]


def diverged(evidence: Evidence) -> Finding | None:
    """The last training loss is not a number, or training broke off because of one."""
    failed = evidence.history.has_failed
    if evidence.history.is_finite and not failed:
        return None
    step = NextStep("Take smaller steps and limit the gradient.", evidence.train(lr=evidence.lower_rate, clip=100.0))
    reason = evidence.history.stopped.removeprefix(FAILED).partition(";")[0]
    text = f"Training broke off: {reason}." if failed else "The training loss ended non-finite."
    return Finding("diverged", FAULT, text, "training diverged", (step,))


def overflowed(evidence: Evidence) -> Finding | None:
    """Training broke off in the KL: the exponential of a log-variance of the codes is larger than every number."""
    reason = evidence.history.stopped
    if not evidence.history.has_failed or "'kl'" not in reason.partition(";")[0]:
        return None
    step = NextStep("Take smaller steps and limit the gradient.", evidence.train(lr=evidence.lower_rate, clip=100.0))
    where = reason.removeprefix(FAILED).partition(", in the term")[0]
    text = f"The KL was among the terms that were not a number ({where.removeprefix('the loss turned non-finite ')})."
    return Finding("log-variance-overflow", FAULT, text, "the variance of the codes overflowed", (step,))


def cut_short(evidence: Evidence) -> Finding | None:
    """The run ended before its plan did."""
    stopped = evidence.history.stopped
    if not stopped.startswith("time limit"):
        return None
    step = NextStep(
        "Go on from the last checkpoint; another time limit starts.", resume_command(evidence.folder, evidence.plugins)
    )
    text = f"Training was cut short after {count(len(evidence.history), 'epoch')} ({stopped})."
    return Finding("cut-short", WARNING, text, "cut short by its time limit", (step,))


def convergence(evidence: Evidence) -> Finding | None:
    """Whether the objective still rose at the end."""
    history = evidence.history
    if len(history) == 0:
        return None  # it broke off or is unfinished, which other rules say
    if len(history) < ENOUGH:
        return _too_few(evidence)
    what = "validation bound" if history.loss_is_bound else "validation objective"
    what = what if history.has_validation else "training objective"
    if evidence.still_rises:
        rise, share = history.late_rise() or (0.0, 0.0)
        text = (
            f"Training had not converged: over its last fifth the {what} still rose by {nats(rise)} nats, "
            f"{percent(share)} of all it gained after the first fifth."
        )
        step = NextStep("The bound was still rising: train for longer.", evidence.train())
        matters = rise > MUCH_OF_CODES * history.last_kl
        severity = WARNING if share > FAR_FROM_DONE and matters else REMARK
        return Finding("under-trained", severity, text, "still improving when training ended", (step,))
    if evidence.ran_out_of_rate:
        rise = history.rise_before_decay()
        rivals = evidence.comparable()
        gain = evidence.gain(rivals[0]) if rivals else None
        severity = WARNING if gain is not None and rise > MUCH_OF_GAIN * gain else REMARK
        text = (
            f"The {what} levelled off only as the learning rate fell to zero: in the middle fifth of the run it still "
            f"rose by {nats(rise)} nats, and the last epochs are the best, so a longer run should do better."
        )
        step = NextStep("Train for longer: the learning rate ran out before the model did.", evidence.train())
        return Finding("under-trained", severity, text, "not trained to the end", (step,))
    level = _level(history.best_epoch, len(history), what, history.stopped)
    return Finding("under-trained", GOOD, level, "converged")


def overfitting(evidence: Evidence) -> Finding | None:
    """Whether held-out rows got worse while training rows got better, or were left behind."""
    fell = _fell(evidence)
    left = _left_behind(evidence)
    if fell is None or (left is not None and left.severity > fell.severity):
        return left
    return fell


def in_sample(evidence: Evidence) -> Finding | None:
    """Every row was trained on."""
    if evidence.split.get("how") != "all":
        return None
    text = "Every row was trained on, so the figures say how well the data are fitted, not how well new data would be."
    step = NextStep("Hold some rows out to measure on.", evidence.train(split="auto"))
    return Finding("in-sample", REMARK, text, "", (step,))


def copies(evidence: Evidence) -> Finding | None:
    """Test rows that are exact copies of training rows flatter the figures."""
    for note in evidence.split.get("notes") or []:
        found = re.search(r"test rows \(([\d.]+) %\).*of training rows", str(note))
        if found is not None and float(found[1]) >= SOME_COPIES:
            # Few columns with few values repeat by their nature.
            natural = evidence.spec.layout == "table" and evidence.spec.kind not in CONTINUOUS
            severity = WARNING if float(found[1]) >= MANY_COPIES and not natural else REMARK
            step = NextStep("Keep copies of a row on one side of the split.", evidence.train(split="copies"))
            figures = {"share": float(found[1]) / 100}
            text = f"{found[1]} % of the test rows are exact copies of training rows, so the test figures flatter."
            return Finding("leakage", severity, text, "test rows repeat training rows", (step,), figures)
    return None


def smaller(evidence: Evidence) -> NextStep:
    """The next step against overfitting for this kind of network."""
    settings = evidence.settings
    network = settings.network.partition(":")[0]
    if network == "linear":
        return NextStep("Fewer latents leave less to overfit with.", _fewer_latents(evidence))
    if "dropout" in options(network):
        return NextStep("Dropout keeps the networks from learning rows by heart.", _with_dropout(evidence))
    shape = evidence.spec.event_shape
    image = evidence.spec.layout == "image" and min(shape[-2:]) >= MIN_SIDE and max(shape[-2:]) <= MAX_SIDE
    if image and settings.recipe == "vae":
        return NextStep(
            "Convolutions share weights between pixels and overfit less.", evidence.train(recipe="conv-vae")
        )
    hidden = tuple(max(SMALLEST_NET, size // 2) for size in settings.hidden)
    if hidden == settings.hidden:
        return NextStep("Fewer latents leave less to overfit with.", _fewer_latents(evidence))
    return NextStep("Smaller networks have less to overfit with.", evidence.train(hidden=hidden))


def _too_few(evidence: Evidence) -> Finding:
    """Below this many epochs only the last one can be looked at."""
    history = evidence.history
    rise = history.last_rise()
    still = rise is not None and rise > evidence.worth_more
    seen = f"; the last one alone brought {nats(rise)} nats" if still else ""
    number = len(history)
    few = "One epoch is too little" if number == 1 else f"{number} epochs are too few"
    step = NextStep("Train until the bound levels off.", evidence.train())
    text = f"{few} to tell whether training converged{seen}."
    briefly = still or number == 1 or history.steps < AIM_STEPS // 2
    return Finding("under-trained", WARNING if briefly else REMARK, text, "trained only briefly", (step,))


def _level(best: int | None, epochs: int, what: str, stopped: str) -> str:
    where = "" if best is None else f"; the best epoch is {best} of {epochs}"
    if stopped.startswith("no better"):
        return f"Training converged and stopped by itself ({stopped}){where}."
    return f"Training converged: the {what} had levelled off{where}."


def _fell(evidence: Evidence) -> Finding | None:
    """The objective fell after its best epoch while the gap to training rows widened."""
    history, best = evidence.history, evidence.history.best_epoch
    fall = history.fall()
    if best is None or fall <= 2 * evidence.negligible or history.gap_growth() <= 0:
        return None
    kept = evidence.settings.keep == "best"
    which = "the weights of that epoch" if kept else "the last weights"
    text = (
        f"The model overfits: after epoch {best} of {len(history)} held-out {evidence.row}s got worse by {nats(fall)} "
        f"nats while training {evidence.row}s got better; {which} were kept."
    )
    steps: tuple[NextStep, ...] = (smaller(evidence),)
    if not kept:
        steps = (NextStep("Keep the weights that were best on held-out rows.", evidence.train(keep="best")), *steps)
    return Finding("overfitting", REMARK if kept else WARNING, text, "overfits", steps, {"fall": fall})


def _left_behind(evidence: Evidence) -> Finding | None:
    """The share of the gain over independent marginals on training rows that test rows do not see."""
    figures = evidence.evaluation or {}
    bounds: dict[str, Any] = figures.get("generalisation") or {}
    reference = [each for each in evidence.comparable() if each["name"] == MARGINALS]
    error = figures.get("bound_standard_error")
    if not reference or error is None or not bounds or evidence.split.get("how") == "all":
        return None
    gap = float(bounds["train_bound"]) - float(bounds["test_bound"])
    gained = float(bounds["train_bound"]) - float(reference[0]["log_likelihood"])
    return lost_on_new(evidence, gap, gained, float(error), "test", MARGINALS)


def lost_on_new(
    evidence: Evidence, gap: float, gained: float, error: float, part: str, reference: str
) -> Finding | None:
    """A bound that is higher on training rows than on those of a part, by much of what it gained over a reference."""
    if not math.isfinite(gap) or gained <= 0 or gap <= SIGMAS * error or gap / gained < LOST_SOME:
        return None
    share = min(1.0, gap / gained)
    text = (
        f"The model overfits: the bound is {nats(gap)} nats higher on training {evidence.row}s than on {part} "
        f"{evidence.row}s, so {percent(share)} of what it gained over {reference} in training is lost on new data."
    )
    figures = {"gap": gap, "standard_error": error, "share": share}
    return Finding(
        "overfitting", WARNING if share > LOST_MUCH else REMARK, text, "overfits", (smaller(evidence),), figures
    )


def _fewer_latents(evidence: Evidence) -> str:
    return evidence.train(latent=max(1, evidence.settings.latent // 2))


def _with_dropout(evidence: Evidence) -> str:
    network = evidence.settings.network
    if "dropout" in network:
        return evidence.train(network=network)
    return evidence.train(network=f"{network}{',' if ':' in network else ':'}dropout=0.2")


COURSE_RULES: tuple[Rule, ...] = (diverged, overflowed, cut_short, convergence, overfitting, in_sample, copies)
