"""Rules on the objective, on one healthy run whose files or weights are spoilt in a known way."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nelbo.doctor.evidence import Evidence
from nelbo.doctor.finding import FAULT, Finding
from nelbo.doctor.history import History
from nelbo.doctor.objective_rules import OBJECTIVE_RULES
from nelbo.doctor.patient import Patient
from nelbo.runs import Run

from .conftest import patient_of

Spoil = Callable[[dict[str, Any]], None]


def keys(patient: Patient) -> dict[str, Finding]:
    return {one.key: one for rule in OBJECTIVE_RULES if (one := rule(patient)) is not None}


def with_records(run: Run, spoil: Spoil, **changes: Any) -> Patient:
    """The run, as if its figures had been others."""
    patient = patient_of(run)
    metrics = copy.deepcopy(run.metrics())
    for record in metrics:
        for part in ("train", "validation"):
            spoil(record[part])
        record["weights"] = changes.get("weights", record["weights"])
    evidence = patient.evidence
    fields = {name: getattr(evidence, name) for name in ("settings", "spec", "split", "evaluation", "folder")}
    return Patient(patient.case, Evidence(**fields, history=History(metrics, run.state())), patient.model)


def averaged(figures: dict[str, Any]) -> None:
    figures["likelihood"] /= 8
    figures["loss"] = figures["kl"] - figures["likelihood"]


def averaged_without_a_name(figures: dict[str, Any]) -> None:
    averaged(figures)
    del figures["likelihood"], figures["kl"]


def flipped(figures: dict[str, Any]) -> None:
    figures["kl"] *= -1
    figures["loss"] = figures["kl"] - figures["likelihood"]


def subtracted(figures: dict[str, Any]) -> None:
    figures["loss"] = -figures["kl"] - figures["likelihood"]


def doubled(figures: dict[str, Any]) -> None:
    figures["loss"] = 2 * figures["kl"] - figures["likelihood"]


def test_a_healthy_run_has_nothing_of_this(patient: Patient) -> None:
    assert keys(patient) == {}


@pytest.mark.parametrize("spoil", [averaged, averaged_without_a_name])
def test_a_likelihood_averaged_over_dimensions_is_told_by_its_size(run: Run, spoil: Spoil) -> None:
    found = keys(with_records(run, spoil))
    assert found["likelihood-averaged"].severity is FAULT
    assert "8 dimensions" in found["likelihood-averaged"].text


@pytest.mark.parametrize("spoil", [flipped, subtracted])
def test_a_kl_that_is_subtracted_is_told(run: Run, spoil: Spoil) -> None:
    assert keys(with_records(run, spoil))["kl-sign"].severity is FAULT


def test_a_kl_that_is_weighted_otherwise_than_set_is_told(run: Run) -> None:
    assert set(keys(with_records(run, doubled))) == {"terms-off"}


def test_a_warm_up_that_did_not_end_is_told(run: Run) -> None:
    def nothing(_: dict[str, Any]) -> None: ...

    for beta, told in ((0.6, True), (1.0, False)):
        patient = with_records(run, nothing, weights={"beta": beta})
        settings = patient.job.settings.model_copy(update={"warmup": "linear:0.5"})
        object.__setattr__(patient.job, "settings", settings)
        found = keys(patient)
        assert ("kl-not-annealed" in found) is told
        if told:
            assert found["kl-not-annealed"].figures == {"weight": 0.6, "final": 1.0}
            assert "--warmup linear:0.2" in found["kl-not-annealed"].remedy


@pytest.mark.parametrize(("part", "key"), [("posterior", "frozen-encoder"), ("likelihood", "frozen-decoder")])
def test_a_part_with_the_weights_of_the_seed_did_not_learn(patient: Patient, part: str, key: str) -> None:
    assert patient.model is not None
    first = patient.job.build().model
    getattr(patient.model, part).load_state_dict(getattr(first, part).state_dict())
    found = keys(patient)
    assert found[key].severity is FAULT
    assert len([one for one in found if one.startswith("frozen")]) == 1


def test_a_part_that_moved_a_little_did_learn(patient: Patient) -> None:
    assert patient.model is not None
    first = patient.job.build().model
    patient.model.posterior.load_state_dict(first.posterior.state_dict())  # type: ignore[union-attr]
    with torch.no_grad():
        next(patient.model.posterior.parameters()).add_(1e-4)
    assert "frozen-encoder" not in keys(patient)


def test_metrics_of_a_file_that_was_cut_off_are_no_evidence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(json.dumps(run.metrics()[0])[:40])
    patient = patient_of(run)
    empty = Patient(patient.case, Evidence.of(run.config(), [], None, {}, "RUN"), patient.model)
    assert keys(empty) == {}
