"""Rules over the figures of an evaluation: baselines, latents, variances at their floor, the estimate itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nelbo.doctor.commands import evaluate_command
from nelbo.doctor.course_rules import Rule
from nelbo.doctor.evidence import MARGINALS, Evidence
from nelbo.doctor.finding import FAULT, GOOD, REMARK, WARNING, Finding, NextStep, Severity
from nelbo.doctor.thresholds import (
    AT_FLOOR_MUCH,
    AT_FLOOR_SOME,
    FAINT,
    FEW_EFFECTIVE,
    FULL,
    LATE_GAIN,
    LINEAR_MATCH,
    MANY_SAMPLES,
    MAX_SIDE,
    MIN_SIDE,
)  # fmt: skip
from nelbo.doctor.wording import count, nats, percent

__all__ = ["FIGURE_RULES", "revive"]


def baselines(evidence: Evidence) -> Finding | None:
    """The model against the best simple method with the same reference measure."""
    if evidence.evaluation is None:
        return None
    if evidence.evaluation.get("importance_samples") is None:
        return Finding(
            "worse-than-baseline", GOOD, "An autoencoder has no likelihood to compare.", "encodes and reconstructs"
        )
    if evidence.evaluation.get("log_likelihood") is None:
        return Finding("worse-than-baseline", FAULT, "The log-likelihood is not finite.", "no finite likelihood")
    rivals = evidence.comparable()
    if not rivals:
        return Finding(
            "worse-than-baseline", REMARK, "There is no baseline with the same reference measure to compare with."
        )
    linear = _linear_optimum(evidence)
    if linear is not None:
        return linear
    best = rivals[0]
    gain, doubt = evidence.gain(best) or 0.0, evidence.doubt(best)
    if gain > doubt:
        short = f"{nats(gain)} nats per {evidence.row} better than the best simple method ({best['name']})"
        return _beside(GOOD, short, _ambitions(evidence))
    if gain >= -doubt:
        short = f"no better than a simple method ({best['name']})"
        return _beside(WARNING, short, _against(evidence, best), ", within the errors")
    if _loses_to_marginals(evidence):
        worst = next(each for each in rivals if each["name"] == MARGINALS)
        short = f"{nats(-(evidence.gain(worst) or 0.0))} nats per {evidence.row} worse than {MARGINALS}"
        return _beside(FAULT, short, _against(evidence, best))
    short = f"{nats(-gain)} nats per {evidence.row} worse than a simple method ({best['name']})"
    return _beside(WARNING, short, _against(evidence, best))


def _beside(severity: Severity, short: str, steps: tuple[NextStep, ...], doubt: str = "") -> Finding:
    """How the likelihood compares, in words that follow "the model is"."""
    return Finding("worse-than-baseline", severity, f"By its likelihood the model is {short}{doubt}.", short, steps)


def latents(evidence: Evidence) -> Finding | None:
    """How many latents carry information."""
    figures = evidence.evaluation
    if figures is None:
        return None
    total, active = len(figures["variance_of_means"]), int(figures["active_units"])
    if active == 0:
        text = "The latents have collapsed: none of them says anything about the data, so the decoder ignores z."
        return Finding("posterior-collapse", FAULT, text, "all latents collapsed", (revive(evidence),))
    kl = [float(value) for value in figures.get("kl_per_latent") or []]
    faint = sum(value < FAINT for value in kl)
    text = f"{active} of {count(total, 'latent')} {'is' if active == 1 else 'are'} active"
    whispering = active - (total - faint)
    if kl and whispering > 0:
        whisper = f"{whispering} of these {'carries' if whispering == 1 else 'carry'}"
        text += f", but {'none carries as much as' if whispering == active else f'{whisper} less than'} {FAINT} nats"
    if kl and min(kl) > FULL and total < evidence.spec.dim:
        step = NextStep(
            "Every latent is in full use, so more of them may help.",
            evidence.train(latent=2 * evidence.settings.latent),
        )
        return Finding(
            "latents-in-full-use", REMARK, text + "; none is idle, so their number may be what limits it.", "", (step,)
        )
    if active <= total // 4 and evidence.settings.beta > 1:
        return Finding("dead-latents", REMARK, f"{text}; beta above 1 presses the rest down.", "", (revive(evidence),))
    idle = "; idle ones cost nothing" if active < total else ""
    return Finding("dead-latents", GOOD, f"{text}{idle}.")


def floors(evidence: Evidence) -> Finding | None:
    """Log-variances that sit on their lower bound."""
    shares: Mapping[str, Any] = (evidence.evaluation or {}).get("share_at_floor") or {}
    worst = max(shares.items(), key=lambda item: float(item[1]), default=("", 0.0))
    name, share = worst[0], float(worst[1])
    if share <= AT_FLOOR_SOME:
        return None
    severity = WARNING if share > AT_FLOOR_MUCH else REMARK
    floor = evidence.settings.min_log_variance
    start = f"{percent(share)} of the log-variances of the {name.partition('.')[0]} sit on their floor of {nats(floor)}"
    lower = evidence.train(min_log_variance=floor - 6)
    if name.startswith("posterior"):
        step = NextStep("Lower the floor and see whether the figures move.", lower)
        return Finding(
            "variance-at-floor",
            severity,
            f"{start}: the floor, not the data, decides them.",
            "variances at floor",
            (step,),
        )
    text = (
        f"{start}: some values are predicted almost exactly, which a density rewards without limit; "
        "the figures hang on the floor."
    )
    step = NextStep(
        "Look for constant or rounded columns and leave them out with --drop, or see how far the figures follow the "
        "floor.",
        lower,
    )
    return Finding("variance-at-floor", severity, text, "variances at floor", (step,))


def estimate(evidence: Evidence) -> Finding | None:
    """Whether the importance-sampled estimate has settled."""
    figures = evidence.evaluation
    if figures is None or figures.get("importance_samples") is None:
        return None
    samples, effective = int(figures["importance_samples"]), figures.get("effective_sample_size")
    late = late_gain(figures)
    settled = (effective is None or float(effective) >= min(FEW_EFFECTIVE, samples)) and (late or 0.0) < LATE_GAIN
    if settled or samples == 1:
        return None
    more = max(MANY_SAMPLES, 10 * samples)
    rose = f"it rose by {nats(late)} nats with the last tenfold of samples" if late else "few samples carry the weight"
    text = f"The likelihood estimate has not settled ({rose}): the true figure is somewhat higher."
    step = NextStep(
        "Sharpen the estimate with more importance samples.", evaluate_command(evidence.folder, more, evidence.plugins)
    )
    return Finding("unsettled-estimate", REMARK, text, "", (step,))


def weighting(evidence: Evidence) -> Finding | None:
    """A beta other than 1, or another objective than a bound, optimises something else than what is measured."""
    beta = evidence.settings.beta
    if beta == 1:
        return _other_objective(evidence)
    aim = "simpler latents" if beta > 1 else "sharper reconstructions"
    text = f"Trained with beta = {beta:g}, for {aim} at some cost in likelihood; all figures are at beta = 1."
    return Finding(
        "not-the-bound",
        REMARK,
        text,
        "",
        (NextStep("For the best likelihood, train at beta = 1.", evidence.train(beta=1.0)),),
    )


def _other_objective(evidence: Evidence) -> Finding | None:
    """Whether something stands in the loss beside the bound; without a bound there is nothing to compare it with."""
    bound = evidence.history.curve("train", "bound")
    if not np.isfinite(bound).any() or evidence.history.loss_is_bound:
        return None
    objective = evidence.settings.objective
    text = f"Trained with the objective {objective}, at some cost in likelihood; all figures are at beta = 1."
    step = NextStep("For the best likelihood, train with the bound alone.", evidence.train(objective="elbo"))
    return Finding("not-the-bound", REMARK, text, "", (step,))


def warnings(evidence: Evidence) -> Finding | None:
    """Words that every figure of these data must carry."""
    words = [str(word) for word in (evidence.evaluation or {}).get("warnings") or evidence.spec.warnings]
    return Finding("data-note", REMARK, f"Every figure carries this note: {'; '.join(words)}.") if words else None


def late_gain(figures: Mapping[str, Any]) -> float | None:
    """Rise of the estimate from K / 10 to K importance samples, in nats; between counts it goes with log K."""
    by_samples = {
        int(k): float(v) for k, v in (figures.get("log_likelihood_by_samples") or {}).items() if v is not None
    }
    if len(by_samples) < 2:
        return None
    counts = sorted(by_samples)
    values = [by_samples[k] for k in counts]
    before = float(np.interp(math.log(counts[-1] / 10), [math.log(k) for k in counts], values))
    rise = values[-1] - before
    return rise if math.isfinite(rise) else None


def _loses_to_marginals(evidence: Evidence) -> bool:
    """A model of the whole that is worse than its dimensions apart has failed."""
    marginals = [each for each in evidence.comparable() if each["name"] == MARGINALS]
    return bool(marginals) and (evidence.gain(marginals[0]) or 0.0) < -evidence.doubt(marginals[0])


def _linear_optimum(evidence: Evidence) -> Finding | None:
    """A linear model with one shared variance can at best equal pPCA; equalling it is success."""
    if evidence.settings.network.partition(":")[0] != "linear":
        return None
    found = [each for each in evidence.comparable() if str(each["name"]).startswith("pPCA")]
    gain = evidence.gain(found[0]) if found else None
    if gain is None or abs(gain) > LINEAR_MATCH:
        return None
    short = f"within {nats(abs(gain))} nats of {found[0]['name']}, the optimum of a linear model"
    step = NextStep(
        "To go beyond the linear optimum, use networks with hidden layers.", evidence.train(recipe="vae", network="mlp")
    )
    return _beside(GOOD, short, (step,))


def _against(evidence: Evidence, rival: Mapping[str, Any]) -> tuple[NextStep, ...]:
    """What to try where a simple method is as good or better."""
    settings, steps = evidence.settings, []
    name, _, options = settings.likelihood.partition(":")
    if name == "gaussian" and "datum" not in options:
        why = "Let the variance of the likelihood depend on z."
        steps.append(NextStep(why, evidence.train(likelihood="gaussian:sigma=datum")))
    if str(rival["name"]).startswith("pPCA") and settings.network.partition(":")[0] != "linear":
        why = "A linear model of the same size should equal pPCA: if it does, look at the networks and their training."
        latent = min(settings.latent, max(1, evidence.spec.dim - 1))
        steps.append(NextStep(why, evidence.train(recipe="linear-vae", latent=latent)))
    if can_convolve(evidence):
        steps.append(NextStep("Convolutions suit images.", evidence.train(recipe="conv-vae")))
    if not steps:
        steps.append(NextStep("Try smaller steps.", evidence.train(lr=evidence.lower_rate)))
    return tuple(steps[:2])


def _ambitions(evidence: Evidence) -> tuple[NextStep, ...]:
    """What may make a good model better."""
    if can_convolve(evidence):
        return (NextStep("Convolutional networks often gain more on images.", evidence.train(recipe="conv-vae")),)
    return ()


def can_convolve(evidence: Evidence) -> bool:
    """Whether the data are images that the convolutional networks take and the run used a plain one."""
    shape = evidence.spec.event_shape
    plain = evidence.settings.network.partition(":")[0] == "mlp" and evidence.settings.recipe == "vae"
    return plain and evidence.spec.layout == "image" and min(shape[-2:]) >= MIN_SIDE and max(shape[-2:]) <= MAX_SIDE


def revive(evidence: Evidence) -> NextStep:
    """What lets latents speak."""
    if evidence.settings.beta > 1:
        return NextStep("A smaller beta lets more latents speak.", evidence.train(beta=1.0))
    if evidence.settings.warmup == "none" and evidence.history.weights:
        return NextStep(
            "Let the KL weight rise slowly, so that the latents are used before they cost.",
            evidence.train(warmup="linear:0.3"),
        )
    return NextStep("Train with smaller steps.", evidence.train(lr=evidence.lower_rate))


FIGURE_RULES: tuple[Rule, ...] = (baselines, latents, floors, estimate, weighting, warnings)
