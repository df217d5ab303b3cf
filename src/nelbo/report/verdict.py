"""The verdict: was the training good, what fell short, and what to try next. Rules, no judgement calls at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

from nelbo.report.commands import evaluate_command
from nelbo.report.evidence import Evidence, Finding, NextStep
from nelbo.report.figure_rules import FIGURE_RULES
from nelbo.report.rules import TRAINING_RULES
from nelbo.report.wording import bits, nats

__all__ = ["Grade", "Verdict", "judge"]

MOST_STEPS = 4


@final
class Grade(StrEnum):
    """One word for a run."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    UNMEASURED = "not measured"


@final
@dataclass(frozen=True)
class Verdict:
    """What somebody should know who reads nothing else."""

    grade: Grade
    headline: str
    sentences: tuple[str, ...]  # two or three: the figure, the course, what fell short most
    remarks: tuple[str, ...]  # all else that was found
    next_steps: tuple[NextStep, ...]


def judge(
    config: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    evaluation: Mapping[str, Any] | None,
    state: Mapping[str, Any],
    folder: str = "RUN",
) -> Verdict:
    """The verdict on a run, from the contents of its files alone.

    A run is *good* where it beats every comparable baseline by more than two standard errors and nothing fell short;
    *poor* where it fails: it loses against independent marginals, all latents collapsed, or the loss is non-finite;
    *fair* in between; *not measured* before it is evaluated, unless it failed already.

    Parameters
    ----------
    config, metrics, evaluation, state
        As `nelbo.run.Run` reads them; the evaluation may be None.
    folder
        The run, for the commands.
    """
    evidence = Evidence.of(config, metrics, evaluation, state, folder)
    findings = [found for rule in (*TRAINING_RULES, *FIGURE_RULES) if (found := rule(evidence)) is not None]
    grade = _grade(findings, measured=evaluation is not None)
    said, course = _performance(evidence, findings), _of("training", findings)
    # The worst first; sorting is stable, so that equals keep the order of the rules.
    rest = sorted(
        (found for found in findings if found.topic != "likelihood" and found not in course[:1]),
        key=lambda found: -found.weight,
    )
    shortfall = rest[0].text if rest and rest[0].weight > 0 else ""
    sentences = (said, *(found.text for found in course[:1]), *([shortfall] if shortfall else []))
    return Verdict(
        grade=grade,
        headline=_headline(grade, findings),
        sentences=sentences,
        remarks=tuple(found.text for found in rest if found.text not in sentences),
        next_steps=_steps(evidence, findings),
    )


def _grade(findings: Sequence[Finding], measured: bool) -> Grade:
    worst = max((found.weight for found in findings), default=0)
    if worst >= 3:
        return Grade.POOR
    if not measured:
        return Grade.UNMEASURED
    return Grade.FAIR if worst == 2 else Grade.GOOD


def _headline(grade: Grade, findings: Sequence[Finding]) -> str:
    """The likelihood, then the worst that was found, or else how training ended."""
    likelihood = _of("likelihood", findings)
    first = likelihood[0].short if likelihood else "" if grade is Grade.POOR else "not evaluated yet"
    others = sorted((f for f in findings if f.short and f not in likelihood), key=lambda found: -found.weight)
    second = others[0].short if others else ""
    if first and second:
        good = likelihood and likelihood[0].weight == 0
        joint = " but " if good and others[0].weight > 0 else "; "
        return _sentence_case(first + joint + second)
    return _sentence_case(first or second or "nothing stands out")


def _performance(evidence: Evidence, findings: Sequence[Finding]) -> str:
    """The log-likelihood in words, and what it is worth."""
    figures = evidence.evaluation
    if figures is None:
        return "The run has not been evaluated yet, so its likelihood is unknown."
    n, rows = int(figures["n"]), "images" if evidence.row == "image" else "rows"
    likelihood = _of("likelihood", findings)
    if figures.get("importance_samples") is None:
        start = f"On {n:,} {figures['split']} {rows} log p(x given its code) is {nats(figures['reconstruction'])} nats."
        return f"{start} {likelihood[0].text}" if likelihood else start
    error = figures.get("standard_error")
    spread = "" if error is None else f" ± {nats(float(error))}"
    start = (
        f"On {n:,} {figures['split']} {rows if n != 1 else evidence.row} the model reaches a log-likelihood of "
        f"{nats(figures.get('log_likelihood'))}{spread} nats ({bits(figures.get('bits_per_dim'))} bits per dimension)."
    )
    return f"{start} {likelihood[0].text}" if likelihood else start


def _steps(evidence: Evidence, findings: Sequence[Finding]) -> tuple[NextStep, ...]:
    """The most pressing first, no command twice."""
    steps = []
    if evidence.evaluation is None:
        steps.append(
            NextStep("Measure the run on its test rows.", evaluate_command(evidence.folder, plugins=evidence.plugins))
        )
    # A training that was too short explains much else: to mend it comes first.
    urgent = sorted(findings, key=lambda found: (found.topic != "training" or found.weight == 0, -found.weight))
    steps += [step for found in urgent for step in found.steps]
    unique = {step.command: step for step in reversed(steps)}
    return tuple(step for step in steps if unique[step.command] is step)[:MOST_STEPS]


def _of(topic: str, findings: Sequence[Finding]) -> list[Finding]:
    return sorted((found for found in findings if found.topic == topic), key=lambda found: -found.weight)


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]
