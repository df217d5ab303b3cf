"""The doctor: what is wrong with a training or with data, the likely cause first, each with its remedy."""

from nelbo.doctor.case import Case
from nelbo.doctor.diagnosis import Diagnosis, examine, examine_data, keep, kept_findings, of_files, of_plan
from nelbo.doctor.finding import Finding, NextStep, Severity, merged, ranked
from nelbo.doctor.preflight import preflight

__all__ = [
    "Case",
    "Diagnosis",
    "Finding",
    "NextStep",
    "Severity",
    "examine",
    "examine_data",
    "keep",
    "kept_findings",
    "merged",
    "of_files",
    "of_plan",
    "preflight",
    "ranked",
]
