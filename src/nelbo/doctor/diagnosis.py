"""All that the rules find."""

from __future__ import annotations

from nelbo.doctor.course_rules import COURSE_RULES
from nelbo.doctor.evidence import Evidence
from nelbo.doctor.figure_rules import FIGURE_RULES
from nelbo.doctor.finding import Finding

__all__ = ["of_files"]


def of_files(evidence: Evidence) -> list[Finding]:
    """What the files of a run alone say, in the order of the rules."""
    return [found for rule in (*COURSE_RULES, *FIGURE_RULES) if (found := rule(evidence)) is not None]
