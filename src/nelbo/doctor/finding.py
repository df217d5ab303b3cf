"""What a rule says: one thing that is so, how bad it is, why it matters, and the command that mends it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, final

from nelbo.doctor.catalogue import ENTRIES, RANKS, Entry

__all__ = ["FAULT", "GOOD", "REMARK", "WARNING", "Finding", "NextStep", "Severity", "merged", "ranked"]


@final
class Severity(IntEnum):
    """How bad a finding is; from `WARNING` on a run is not healthy."""

    GOOD = 0
    REMARK = 1  # worth knowing
    WARNING = 2  # fell short
    FAULT = 3  # failed


GOOD, REMARK, WARNING, FAULT = Severity


@final
@dataclass(frozen=True)
class NextStep:
    """Something to try, why, and the command that does it."""

    why: str
    command: str = ""


@final
@dataclass(frozen=True)
class Finding:
    """One thing that is so."""

    key: str  # of its entry in the catalogue
    severity: Severity
    text: str  # the evidence, in a sentence
    short: str = ""  # for a headline
    steps: tuple[NextStep, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict, hash=False)  # the evidence, as plain JSON

    @property
    def entry(self) -> Entry:
        """What the catalogue says of such findings."""
        return ENTRIES[self.key]

    @property
    def topic(self) -> str:
        """What it is about: training, likelihood, latents, data, ..."""
        return self.entry.topic

    @property
    def remedy(self) -> str:
        """The command to try first; empty where there is none."""
        return next((step.command for step in self.steps if step.command), "")

    def as_json(self) -> dict[str, Any]:
        """One plain object; a figure that is no number is null."""
        return {
            "key": self.key,
            "severity": self.severity.name.lower(),
            "title": self.entry.title,
            "evidence": self.text,
            "figures": {name: _plain(value) for name, value in self.figures.items()},
            "reason": self.entry.reason,
            "short": self.short,
            "steps": [{"why": step.why, "command": step.command} for step in self.steps],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Finding:
        """The finding that was written so."""
        return cls(
            key=str(content["key"]),
            severity=Severity[str(content["severity"]).upper()],
            text=str(content["evidence"]),
            short=str(content["short"]),
            steps=tuple(NextStep(str(step["why"]), str(step["command"])) for step in content["steps"]),
            figures=content["figures"],
        )


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, and causes before what they explain.

    A cause counts as severe as the worst finding that it explains; among equals the catalogue's order, which runs from
    data over objective and optimisation to symptoms, decides.
    """
    found = list(findings)

    def weight(one: Finding) -> int:
        if one.severity < Severity.WARNING:
            return one.severity
        return max([one.severity, *(other.severity for other in found if other.key in one.entry.explains)])

    return sorted(found, key=lambda one: (-weight(one), RANKS[one.key]))


def merged(*several: Iterable[Finding]) -> list[Finding]:
    """Findings from several places, one of a key: the worst, or else that of the earlier place."""
    kept: dict[str, Finding] = {}
    for found in (one for findings in several for one in findings):
        if found.key not in kept or found.severity > kept[found.key].severity:
            kept[found.key] = found
    return list(kept.values())


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
