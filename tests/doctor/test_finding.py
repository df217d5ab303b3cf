"""Findings in their order, and the catalogue's own laws."""

from __future__ import annotations

import json
import math

import pytest

from nelbo.doctor.catalogue import ENTRIES
from nelbo.doctor.finding import FAULT, GOOD, REMARK, WARNING, Finding, NextStep, merged, ranked


def found(key: str, severity: int) -> Finding:
    return Finding(key, (GOOD, REMARK, WARNING, FAULT)[severity], f"{key} is so.")


def keys(*findings: Finding) -> list[str]:
    return [each.key for each in ranked(findings)]


def test_the_worst_comes_first() -> None:
    assert keys(found("dead-latents", 1), found("leakage", 2), found("diverged", 3)) == [
        "diverged",
        "leakage",
        "dead-latents",
    ]


def test_a_cause_comes_before_the_worse_thing_that_it_explains() -> None:
    collapse, rate = found("posterior-collapse", 3), found("learning-rate-high", 2)
    assert keys(collapse, rate) == ["learning-rate-high", "posterior-collapse"]
    assert keys(collapse, rate, found("unscaled-columns", 2))[0] == "unscaled-columns"


def test_what_explains_nothing_that_was_found_stays_behind() -> None:
    assert keys(found("posterior-collapse", 3), found("leakage", 2))[0] == "posterior-collapse"


def test_a_remark_is_never_lifted_to_a_cause() -> None:
    assert keys(found("posterior-collapse", 3), found("heavy-tails", 1))[0] == "posterior-collapse"


@pytest.mark.parametrize("key", ENTRIES)
def test_nothing_explains_what_explains_it(key: str) -> None:
    explained = ENTRIES[key].explains
    assert explained <= set(ENTRIES) - {key}
    assert all(key not in ENTRIES[other].explains for other in explained)


@pytest.mark.parametrize("key", ENTRIES)
def test_a_reason_has_two_sentences_at_most(key: str) -> None:
    entry = ENTRIES[key]
    assert entry.reason.endswith(".")
    assert entry.reason.count(". ") <= 1
    assert len(entry.reason) < 260


def test_of_two_findings_of_a_key_the_worse_is_kept() -> None:
    better, worse = found("leakage", 1), found("leakage", 2)
    assert merged([better], [worse]) == [worse]
    assert merged([worse], [better]) == [worse]


def test_a_finding_reads_back_as_it_was_written() -> None:
    step = NextStep("Try it.", "nelbo train digits")
    one = Finding("leakage", WARNING, "So it is.", "short", (step,), {"share": 0.5, "error": math.inf})
    content = json.loads(json.dumps(one.as_json(), allow_nan=False))
    again = Finding.from_json(content)
    assert again.as_json() == content
    assert (again.key, again.severity, again.steps, again.remedy) == (one.key, one.severity, one.steps, step.command)
    assert content["figures"] == {"share": 0.5, "error": None}
