"""The pre-flight: what settings and data foretell, before the first step and in less than a second."""

from __future__ import annotations

import math

from nelbo.doctor.case import Case
from nelbo.doctor.data_rules import CaseRule, constant_columns, heavy_tails, unscaled_columns, wrong_likelihood
from nelbo.doctor.finding import REMARK, WARNING, Finding, NextStep, ranked
from nelbo.doctor.thresholds import FEW_STEPS, LATE_WARM_UP, VERY_FEW_STEPS
from nelbo.doctor.wording import count, percent, plain
from nelbo.objectives.schedules import parse_schedule
from nelbo.registry import parse_part

__all__ = ["PLAN_RULES", "PREFLIGHT_RULES", "active_latents", "few_steps", "heavy_beta", "preflight"]

FULL_RANK = 1e-6  # of the largest eigenvalue
FEWEST_DIMENSIONS = 4


def preflight(case: Case) -> list[Finding]:
    """What is foretold, the likely root cause first."""
    return ranked(found for rule in PREFLIGHT_RULES if (found := rule(case)) is not None)


def active_latents(case: Case) -> int | None:
    r"""How many latents of a linear model with these settings stay active; None where the noise is not fixed.

    With a fixed variance s^2 of the decoder and beta KL in the loss, the optimum of a linear VAE has one active latent
    for each eigenvalue of the data's covariance above beta s^2, in the units of the network: dividing the loss by beta
    turns s^2 into beta s^2, and pPCA with that variance keeps those directions (W has columns of length
    (lambda_j - s^2)^(1/2), and a stationary point with a column 0 is stable where lambda_j <= s^2).

    References
    ----------
    Lucas et al. (2019), Don't blame the ELBO! A linear VAE perspective on posterior collapse, arXiv:1911.02469.
    """
    settings = case.job.settings
    if case.likelihood != "gaussian" or parse_part(settings.likelihood)[1].get("sigma", "shared") != "unit":
        return None
    return min(settings.latent, int((case.eigenvalues > settings.beta).sum()))


def fixed_variance(case: Case) -> Finding | None:
    """A decoder whose fixed noise covers the directions of the data."""
    active = active_latents(case)
    settings = case.job.settings
    if active is None or active == settings.latent:
        return None
    leading = float(case.eigenvalues[0])
    noise = settings.beta
    figures = {"active": active, "latents": settings.latent, "leading_eigenvalue": leading, "noise": noise}
    of_beta = "" if settings.beta == 1 else f" (beta {settings.beta:g} times 1)"
    text = (
        f"The decoder's noise is fixed at a variance of {plain(noise)}{of_beta} in the units of the network, and the "
        f"data vary by more in {count(active, 'direction')} only (by {plain(leading)} at most): theory lets "
        f"{active} of {count(settings.latent, 'latent')} stay active."
    )
    step = NextStep("Let the variance be learnt.", case.train(likelihood="gaussian:sigma=dimension"))
    if active == 0:
        return Finding("variance-too-large", WARNING, text, "the noise hides the data", (step,), figures)
    return Finding("variance-too-large", REMARK, text, "", (step,), figures)


def heavy_beta(case: Case) -> Finding | None:
    """A beta that weighs the KL as if the likelihood were averaged over dimensions."""
    beta, dim = case.job.settings.beta, case.job.spec.dim
    if dim < FEWEST_DIMENSIONS or beta < dim:
        return None
    text = (
        f"beta is {beta:g} and a row has {dim} dimensions: the KL weighs as much as if the likelihood were averaged "
        "over them."
    )
    step = NextStep("Weigh both terms as the bound does.", case.train(beta=1.0))
    return Finding("beta-high", WARNING, text, "the KL outweighs the likelihood", (step,), {"beta": beta, "dim": dim})


def long_warm_up(case: Case) -> Finding | None:
    """A warm-up that takes all of the run, or nearly."""
    settings, total = case.job.settings, case.steps
    schedule = parse_schedule(settings.warmup, total, case.steps_per_epoch)
    share = schedule.settled_from / total
    if share < LATE_WARM_UP:
        return None
    text = f"The warm-up takes {percent(share)} of the run, so the final objective is hardly trained for."
    step = NextStep("A shorter one leaves most of the run to the final objective.", case.train(warmup="linear:0.2"))
    return Finding("kl-not-annealed", WARNING, text, "a warm-up as long as the run", (step,), {"share": share})


def few_steps(case: Case) -> Finding | None:
    """So few steps that nothing can be learnt."""
    total = case.steps
    if total >= FEW_STEPS:
        return None
    text = f"The run has {count(total, 'step')} in all ({case.steps_per_epoch} an epoch)."
    step = NextStep("Leave the length to the program.", case.train(epochs=None, steps=None, patience=None))
    severity = WARNING if total < VERY_FEW_STEPS else REMARK
    return Finding("too-few-steps", severity, text, "few steps", (step,), {"steps": total})


def batches(case: Case) -> Finding | None:
    """A batch that holds all training rows, or more."""
    size, rows = case.job.settings.batch_size, len(case.job.split.train)
    if size < rows or rows < 2:
        return None
    text = f"A batch of {size} holds all {rows} training rows, so an epoch is a single step."
    wanted = max(1, 2 ** int(math.log2(max(1, rows // 8))))
    step = NextStep("Take smaller batches.", case.train(batch_size=wanted))
    return Finding("batch-too-large", REMARK, text, "", (step,), {"batch_size": size, "rows": rows})


def more_latents_than_data(case: Case) -> Finding | None:
    """Latents beyond the number of directions in which the data vary."""
    latent = case.job.settings.latent
    rank = int((case.eigenvalues > FULL_RANK * case.eigenvalues[0].clamp(min=1e-300)).sum())
    fewer_rows = case.job.spec.dim > len(case.eigenvalues)  # which then limit the rank
    if latent <= rank or (fewer_rows and rank >= len(case.eigenvalues) - 1):
        return None
    text = f"{count(latent, 'latent')} for data that vary in {count(rank, 'direction')}."
    step = NextStep("As many latents as directions are enough.", case.train(latent=max(1, rank)))
    return Finding("latent-too-large", REMARK, text, "", (step,), {"latents": latent, "rank": rank})


# Those that explain a training that has ended, too.
PLAN_RULES: tuple[CaseRule, ...] = (
    wrong_likelihood, constant_columns, heavy_tails, unscaled_columns, heavy_beta, fixed_variance, long_warm_up,
    few_steps,
)  # fmt: skip
PREFLIGHT_RULES: tuple[CaseRule, ...] = (*PLAN_RULES, batches, more_latents_than_data)
