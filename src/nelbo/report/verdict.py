"""The verdict: was the training good, what fell short, and what to try next. Rules, no judgement calls at run time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

from nelbo.doctor.commands import evaluate_command
from nelbo.doctor.diagnosis import of_files
from nelbo.doctor.evidence import Evidence
from nelbo.doctor.finding import Finding, NextStep, Severity, merged, ranked
from nelbo.doctor.wording import bits, nats

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
    findings: tuple[Finding, ...] = ()  # what fell short, causes first


def judge(
    config: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    evaluation: Mapping[str, Any] | None,
    state: Mapping[str, Any],
    folder: str = "RUN",
    examined: Iterable[Finding] = (),
) -> Verdict:
    """The verdict on a run, from the contents of its files and what an examination of it found.

    A run is *good* where it beats every comparable baseline by more than two standard errors and nothing fell short;
    *poor* where it fails: it loses against independent marginals, all latents collapsed, or the loss is non-finite;
    *fair* in between; *not measured* before it is evaluated, unless it failed already.

    Parameters
    ----------
    config, metrics, evaluation, state
        As `nelbo.runs.Run` reads them; the evaluation may be None.
    folder
        The run, for the commands.
    examined
        What `nelbo doctor` found when it looked at the model and its data.
    """
    evidence = Evidence.of(config, metrics, evaluation, state, folder)
    findings = merged(of_files(evidence), examined)
    grade = _grade(findings, measured=evaluation is not None)
    said, course = _performance(evidence, findings), _of("training", findings)
    # The worst first; sorting is stable, so that equals keep the order of the rules.
    rest = sorted(
        (found for found in findings if found.topic != "likelihood" and found not in course[:1]),
        key=lambda found: -found.severity,
    )
    shortfall = rest[0].text if rest and rest[0].severity > 0 else ""
    sentences = (said, *(found.text for found in course[:1]), *([shortfall] if shortfall else []))
    return Verdict(
        grade=grade,
        headline=_headline(grade, findings),
        sentences=sentences,
        remarks=tuple(found.text for found in rest if found.text not in sentences),
        next_steps=_steps(evidence, findings),
        findings=tuple(found for found in ranked(findings) if found.severity >= Severity.WARNING),
    )


def _grade(findings: Sequence[Finding], measured: bool) -> Grade:
    worst = max((found.severity for found in findings), default=0)
    if worst >= Severity.FAULT:
        return Grade.POOR
    if not measured:
        return Grade.UNMEASURED
    return Grade.FAIR if worst == Severity.WARNING else Grade.GOOD


def _headline(grade: Grade, findings: Sequence[Finding]) -> str:
    """The likelihood, then the worst that was found, or else how training ended."""
    likelihood = _of("likelihood", findings)
    first = likelihood[0].short if likelihood else "" if grade is Grade.POOR else "not evaluated yet"
    others = sorted((f for f in findings if f.short and f not in likelihood), key=lambda found: -found.severity)
    second = others[0].short if others else ""
    if first and second:
        good = likelihood and likelihood[0].severity == 0
        joint = " but " if good and others[0].severity > 0 else "; "
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
    # A training that was too short explains much else: to mend it comes first, after what ranks above it.
    steps += [step for found in _urgent(findings) for step in found.steps]
    unique = {step.command: step for step in reversed(steps)}
    return tuple(step for step in steps if unique[step.command] is step)[:MOST_STEPS]


def _urgent(findings: Sequence[Finding]) -> list[Finding]:
    """Causes first, then a training that was too short, then the worst."""
    wrong = [found for found in ranked(findings) if found.severity >= Severity.WARNING and found.entry.explains]
    rest = [found for found in findings if found not in wrong]
    rest.sort(key=lambda found: (found.topic != "training" or found.severity == Severity.GOOD, -found.severity))
    return [*wrong, *rest]


def _of(topic: str, findings: Sequence[Finding]) -> list[Finding]:
    return sorted((found for found in findings if found.topic == topic), key=lambda found: -found.severity)


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]
