"""A diagnosis: all that the rules find in a run, or in data before any."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, final

from nelbo.doctor.case import Case
from nelbo.doctor.commands import resume_command
from nelbo.doctor.course_rules import COURSE_RULES
from nelbo.doctor.data_rules import DATA_RULES
from nelbo.doctor.evidence import Evidence
from nelbo.doctor.figure_rules import FIGURE_RULES
from nelbo.doctor.finding import FAULT, GOOD, WARNING, Finding, NextStep, merged, ranked
from nelbo.doctor.gradient_rules import GRADIENT_RULES
from nelbo.doctor.model_rules import MODEL_RULES
from nelbo.doctor.objective_rules import OBJECTIVE_RULES, PatientRule
from nelbo.doctor.patient import Patient
from nelbo.doctor.preflight import PLAN_RULES, few_steps, fixed_variance, heavy_beta, preflight
from nelbo.doctor.rate_rules import RATE_RULES
from nelbo.errors import DataError, HolesError
from nelbo.runs import Run, reopen
from nelbo.settings import Settings
from nelbo.storage import read_json, write_json
from nelbo.train.job import Job, prepare, threads

__all__ = ["Diagnosis", "examine", "examine_data", "keep", "kept_findings", "of_files", "of_plan"]

PATIENT_RULES: tuple[PatientRule, ...] = (*OBJECTIVE_RULES, *MODEL_RULES, *GRADIENT_RULES, *RATE_RULES)
FORETOLD = (heavy_beta, fixed_variance, few_steps)
_Subject = TypeVar("_Subject", Case, Evidence, Patient)


@final
@dataclass(frozen=True)
class Diagnosis:
    """What was found in a run or in data, the likely root cause first."""

    subject: str
    findings: tuple[Finding, ...]  # remarks included
    seconds: float = 0.0
    weights: str | None = None  # SHA-256 of the weights that were looked at

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is worse than a remark."""
        return all(found.severity < WARNING for found in self.findings)

    def as_json(self) -> dict[str, Any]:
        """One plain object."""
        return {
            "subject": self.subject,
            "healthy": self.is_healthy,
            "findings": [found.as_json() for found in self.findings],
            "weights_sha256": self.weights,
            "seconds": round(self.seconds, 2),
        }


def of_files(evidence: Evidence) -> list[Finding]:
    """What the files of a run alone say, in the order of the rules."""
    return list(_found((*COURSE_RULES, *FIGURE_RULES), evidence))


def examine(run: Run, progress: Callable[[str], None] = lambda part: None) -> Diagnosis:
    """Examine a run: its files, its data, and its model on some hundred evenly spaced rows. Nothing is written.

    Parameters
    ----------
    run
        The run.
    progress
        Called with what is looked at next, in words.

    Raises
    ------
    RunError
        If the folder is no run.
    ConfigError
        If the data changed since the training, or the run needs a plugin that was not loaded.
    """
    started = time.perf_counter()
    config, job = run.config(), reopen(run)
    evidence = Evidence.of(config, run.metrics(), run.evaluation(), run.state(), str(run.folder))
    model = run.load().model if run.is_complete else None
    case = Case(job, evidence.plugins)
    patient = Patient(case, evidence, model)
    with threads(job.settings.threads):
        found = merged(
            _found(DATA_RULES, case, progress),
            _found(PATIENT_RULES, patient, progress),
            _unfinished(run, evidence),
            _found(FORETOLD, case),  # which nothing fitted tells better
            of_files(evidence),
        )
    told = [one for one in ranked(found) if one.severity > GOOD]
    return Diagnosis(str(run.folder), tuple(told), time.perf_counter() - started, _weights(run))


def examine_data(settings: Settings) -> Diagnosis:
    """Examine data, and what the pre-flight foretells for these settings; missing values are found, not refused.

    Raises
    ------
    DataError
        If the data cannot be read.
    CompositionError
        If no likelihood fits them.
    """
    started = time.perf_counter()
    found: list[Finding] = []
    job: Job | None
    try:
        job = prepare(settings)
    except HolesError as problem:
        drop = (*settings.drop, *problem.columns)
        found.append(_holes(settings, problem, drop))
        job = _without(settings, drop) if problem.columns else None
    if job is not None:
        # The length is the program's to choose.
        shown = job.settings.model_copy(update={"epochs": settings.epochs, "patience": settings.patience})
        case = Case(Job(job.settings, job.data, job.split, job.transform, job.spec, job.objective_spec))
        brief = Case(Job(shown, job.data, job.split, job.transform, job.spec, job.objective_spec))
        found += _found(DATA_RULES, brief)
        found += preflight(case)
    told = [one for one in ranked(merged(found)) if one.severity > GOOD]
    return Diagnosis(settings.source, tuple(told), time.perf_counter() - started)


def _found(
    rules: Iterable[Callable[[_Subject], Finding | None]],
    subject: _Subject,
    progress: Callable[[str], None] = lambda part: None,
) -> Iterator[Finding]:
    """What the rules find, in their order."""
    for rule in rules:
        progress(rule.__name__.replace("_", " "))
        found = rule(subject)
        if found is not None:
            yield found


def keep(run: Run, diagnosis: Diagnosis) -> None:
    """Write a diagnosis to the run's `doctor.json`, where the report finds it."""
    write_json(run.folder / "doctor.json", diagnosis.as_json())


def of_plan(case: Case) -> list[Finding]:
    """What data and settings alone explain of a training that has ended, where it is a warning or worse."""
    return [one for one in _found(PLAN_RULES, case) if one.severity >= WARNING]


def kept_findings(run: Run) -> list[Finding]:
    """What `doctor.json` says of the weights that the run holds now; nothing where there is none, or of others."""
    path = run.folder / "doctor.json"
    content = read_json(path) if path.exists() else {}
    if not content or content.get("weights_sha256") != _weights(run):
        return []
    return [Finding.from_json(found) for found in content.get("findings", ())]


def _weights(run: Run) -> str | None:
    path = run.folder / "model" / "config.json"
    return str(read_json(path).get("weights_sha256")) if path.exists() else None


def _unfinished(run: Run, evidence: Evidence) -> Iterable[Finding]:
    """A run that holds no model yet, though nothing failed."""
    if run.is_complete or evidence.history.has_failed:
        return ()
    step = NextStep("Go on from the last checkpoint.", resume_command(str(run.folder), evidence.plugins))
    text = f"The run holds no trained model yet, after {len(evidence.history)} complete epochs."
    return (Finding("unfinished", WARNING, text, "not finished", (step,)),)


def _holes(settings: Settings, problem: HolesError, drop: tuple[str, ...]) -> Finding:
    text = f"{str(problem)[:1].upper()}{str(problem)[1:]}."
    steps: tuple[NextStep, ...] = ()
    if problem.columns:
        words = [word for name in drop for word in ("--drop", name)]
        steps = (NextStep("Leave the columns out.", shlex.join(["nelbo", "train", settings.source, *words])),)
    return Finding("missing-values", FAULT, text, "missing values", steps, {"columns": list(problem.columns)})


def _without(settings: Settings, drop: tuple[str, ...]) -> Job | None:
    """The data without some columns; None where there are none left."""
    try:
        return prepare(settings.model_copy(update={"drop": drop}))
    except DataError:
        return None
