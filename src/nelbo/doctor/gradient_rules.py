"""Rules on gradients: measured on a few training batches, before the first step and at the weights that were kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch, Objective
from nelbo.data import evenly
from nelbo.doctor.finding import FAULT, WARNING, Finding, NextStep
from nelbo.doctor.objective_rules import PatientRule
from nelbo.doctor.patient import Patient, own_noise
from nelbo.doctor.thresholds import EXPLODED, FADED
from nelbo.doctor.wording import plain
from nelbo.train.job import model_of

__all__ = ["GRADIENT_RULES", "Gradients"]

BATCHES = 4
GROUPS = {"posterior": "encoder", "likelihood": "decoder", "prior": "prior"}
LAYERS = 3  # fewer do not fade


@final
@dataclass(frozen=True, eq=False)
class Gradients:
    """Of the loss, at some weights, one of each parameter and batch."""

    names: tuple[str, ...]
    of_batches: tuple[tuple[Tensor, ...], ...]
    sizes: tuple[float, ...]  # root mean square of each parameter

    @classmethod
    def of(cls, objective: Objective, batches: list[Batch]) -> Gradients:
        """Measure them; the weights stay as they are."""
        objective.eval()
        model = model_of(objective)
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        found = []
        with own_noise():
            for batch in batches:
                loss = objective.phases[0](batch).loss
                # What the loss does not depend on has the gradient 0.
                made = torch.autograd.grad(loss, [p for _, p in named], allow_unused=True, materialize_grads=True)
                found.append(made)
        sizes = tuple(float(p.detach().double().square().mean().sqrt()) for _, p in named)
        return cls(tuple(name for name, _ in named), tuple(found), sizes)

    @cached_property
    def norms(self) -> dict[str, Tensor]:
        """The norm of each group's gradient, [batches]: nats a datum for a step of length 1."""
        return {
            group: torch.tensor([math.sqrt(sum(self._squares(batch, group))) for batch in self.of_batches])
            for group in GROUPS
            if any(name.startswith(f"{group}.") for name in self.names)
        }

    def fading(self, group: str) -> float | None:
        """Gradient of a part's first layer over that of its last, each the root mean square over weights and batches.

        None for fewer than three layers, or where no gradient reaches the last.
        """
        layers = [
            place
            for place, name in enumerate(self.names)
            if name.startswith(f"{group}.") and self.of_batches[0][place].dim() >= 2
        ]
        if len(layers) < LAYERS:
            return None
        first, last = (self._size(layers[end]) for end in (0, -1))
        return first / last if last > 0 else None

    def _size(self, place: int) -> float:
        return math.sqrt(sum(float(batch[place].double().square().mean()) for batch in self.of_batches))

    def _squares(self, batch: tuple[Tensor, ...], group: str) -> list[float]:
        pairs = zip(self.names, batch, strict=True)
        return [float(g.double().square().sum()) for name, g in pairs if name.startswith(f"{group}.")]


def gradients(patient: Patient) -> Finding | None:
    """Gradients that are not finite, exploded since the start, or fade on their way through a network."""
    if patient.model is None or len(patient.initial.phases) != 1:
        return None
    reads = patient.initial.phases[0].reads_labels
    size = patient.job.settings.batch_size
    rows = evenly(patient.job.split.train, BATCHES * size)
    batches = list(patient.job.batches("train", rows=rows, batch_size=size, labels=reads).fixed())[:BATCHES]
    before, after = Gradients.of(patient.initial, batches), Gradients.of(patient.trained, batches)
    return _exploded(patient, before, after) or _faded(patient, before, after)


def _exploded(patient: Patient, before: Gradients, after: Gradients) -> Finding | None:
    for group, norms in after.norms.items():
        name, start, end = GROUPS[group], float(before.norms[group].median()), float(norms.median())
        figures = {"group": name, "norm": end, "before": start, "largest": float(norms.max())}
        step = NextStep(
            "Limit the gradient and take smaller steps.", patient.case.train(lr=patient.evidence.lower_rate, clip=100.0)
        )
        if not math.isfinite(figures["largest"]):  # type: ignore[arg-type]
            text = f"The gradient of the {name} is not finite on training rows."
            return Finding("exploding-gradients", FAULT, text, "the gradient is not finite", (step,), figures)
        if end > EXPLODED * max(start, 1.0):
            text = f"The gradient norm of the {name} is {plain(end)} on training rows; at first it was {plain(start)}."
            return Finding("exploding-gradients", WARNING, text, "the gradient exploded", (step,), figures)
    return None


def _faded(patient: Patient, before: Gradients, after: Gradients) -> Finding | None:
    for group in ("posterior", "likelihood"):
        shares = [each.fading(group) for each in (before, after)]
        if any(share is None or not share < FADED for share in shares):
            continue
        name = GROUPS[group]
        # Of a decoder the last layer has the loss next to it, of an encoder too.
        text = (
            f"A weight of the first layer of the {name} is told {plain(shares[1])} times as much as one of the last; "
            f"before the first step it was {plain(shares[0])} times."
        )
        step = NextStep("Shortcuts around the layers carry the gradient.", _shorter(patient))
        figures = {"group": name, "first_over_last": shares[1], "before": shares[0]}
        return Finding("vanishing-gradients", WARNING, text, "the gradient fades", (step,), figures)
    return None


def _shorter(patient: Patient) -> str:
    """Two layers at most, with an activation that lets gradients through."""
    settings = patient.job.settings
    if settings.network.partition(":")[0] in {"mlp", "gated-mlp", "residual-mlp"}:
        return patient.evidence.train(network="mlp", hidden=settings.hidden[:2])
    return patient.evidence.train(network="mlp", recipe="vae")


GRADIENT_RULES: tuple[PatientRule, ...] = (gradients,)
