"""Rules on gradients: measured on a few training batches, before the first step and at the weights that were kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch, Model, Objective, Sides
from nelbo.data import evenly
from nelbo.doctor.finding import FAULT, WARNING, Finding, NextStep
from nelbo.doctor.objective_rules import PatientRule
from nelbo.doctor.patient import Patient
from nelbo.doctor.thresholds import CUT_OFF, EXPLODED, FADED, UNLIKE
from nelbo.doctor.wording import count, plain
from nelbo.noise import own_noise
from nelbo.plugins import origin

__all__ = ["GRADIENT_RULES", "Gradients"]

BATCHES = 4
GROUPS = {"posterior": "encoder", "likelihood": "decoder", "prior": "prior"}
LAYERS = 3  # fewer do not fade
SOME = 100  # rows
NAMED = 5  # latents


@final
@dataclass(frozen=True, eq=False)
class Gradients:
    """Of the loss, at some weights, one of each parameter and batch."""

    parts: tuple[str, ...]  # that each parameter belongs to
    of_batches: tuple[tuple[Tensor, ...], ...]
    sizes: tuple[float, ...]  # root mean square of each parameter

    @classmethod
    def of(cls, objective: Objective, batches: list[Batch]) -> Gradients:
        """Measure them; the weights stay as they are."""
        objective.eval()
        model = objective.model
        trained = [p for p in model.parameters() if p.requires_grad]
        sides = model.sides().by_part.items()
        owner = {id(p): part for part, modules in sides for module in modules for p in module.parameters()}
        found = []
        with own_noise():
            for batch in batches:
                loss = objective.phases[0](batch).loss
                # What the loss does not depend on has the gradient 0.
                made = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
                found.append(made)
        sizes = tuple(float(p.detach().double().square().mean().sqrt()) for p in trained)
        return cls(tuple(owner.get(id(p), "") for p in trained), tuple(found), sizes)

    @cached_property
    def norms(self) -> dict[str, Tensor]:
        """The norm of each group's gradient, [batches]: nats a datum for a step of length 1."""
        return {
            group: torch.tensor([math.sqrt(sum(self._squares(batch, group))) for batch in self.of_batches])
            for group in GROUPS
            if group in self.parts
        }

    def fading(self, group: str) -> float | None:
        """Gradient of a part's first layer over that of its last, each the root mean square over weights and batches.

        None for fewer than three layers, or where no gradient reaches the last.
        """
        layers = [
            place for place, part in enumerate(self.parts) if part == group and self.of_batches[0][place].dim() >= 2
        ]
        if len(layers) < LAYERS:
            return None
        first, last = (self._size(layers[end]) for end in (0, -1))
        return first / last if last > 0 else None

    def _size(self, place: int) -> float:
        return math.sqrt(sum(float(batch[place].double().square().mean()) for batch in self.of_batches))

    def _squares(self, batch: tuple[Tensor, ...], group: str) -> list[float]:
        return [float(g.double().square().sum()) for part, g in zip(self.parts, batch, strict=True) if part == group]


def gradients(patient: Patient) -> Finding | None:
    """Gradients that are not finite, exploded on the way, or fade on their way through a network."""
    if not patient.is_as_planned or len(patient.initial.phases) != 1:
        return None
    reads = patient.initial.phases[0].reads_labels
    size = patient.job.settings.batch_size
    rows = evenly(patient.job.split.train, BATCHES * size)
    batches = list(patient.job.batches("train", rows=rows, batch_size=size, labels=reads).fixed())[:BATCHES]
    before, after = Gradients.of(patient.initial, batches), Gradients.of(patient.trained, batches)
    return _exploded(patient, before, after) or _faded(patient, before, after)


def detached(patient: Patient) -> Finding | None:
    """An objective of the user's own whose gradient reaches the encoder through the KL alone.

    Before the first step, with the same noise, its gradient on the encoder is put together from those of the model's
    own two terms, g = a g(-log p(x given z)) + b g(KL), by least squares: for a bound a = 1, for one cut off a = 0.
    """
    model, objective = patient.initial.model, patient.initial
    mine = origin(f"objective/{patient.job.settings.objective.partition(':')[0]}")
    if mine is None or len(objective.phases) != 1:
        return None
    weights = list(Sides.parameters(model.sides().recognition))
    if not weights or not model.abilities.density or not model.abilities.reparameterised:
        return None
    objective.eval()
    size = patient.job.settings.batch_size
    batch = next(patient.job.batches("train", batch_size=max(size, BATCHES * size)).fixed())
    with own_noise():
        loss = objective.phases[0](batch).loss
    with own_noise():
        terms = model.terms(batch, analytic=True)
    kl = terms.rate.mean()
    if not loss.requires_grad:
        return None
    made, *own = (_flat_gradient(value, weights) for value in (loss, -terms.mean(terms.log_px).mean(), kl))
    basis = torch.stack(own, 1)
    shares = torch.linalg.lstsq(basis, made.unsqueeze(1)).solution[:, 0]
    left = float((made - basis @ shares).norm() / made.norm().clamp(min=1e-300))
    likelihood, rate = (float(share) for share in shares)
    if left > UNLIKE or abs(likelihood) > CUT_OFF * max(abs(rate), 1.0) or abs(rate) < CUT_OFF:
        return None
    text = (
        f"Of the gradient that the loss gives the encoder, {plain(likelihood)} times that of the likelihood is in it "
        f"and {plain(rate)} times that of the KL; a bound has both once."
    )
    step = NextStep("Train with the bound, whose gradient goes through z.", patient.evidence.train(objective="elbo"))
    figures = {"likelihood": likelihood, "kl": rate, "unexplained": left}
    return Finding("detached-encoder", FAULT, text, "the encoder is cut off", (step,), figures)


def unread(patient: Patient) -> Finding | None:
    """Latents that the decoder does not read: no gradient of log p(x given z) reaches them, in any row.

    Before the first step only a network that cuts its input off the graph has none at all; a latent that training
    silenced has small gradients still, and none where its weights were held at zero.
    """
    before = patient.initial.model
    if not before.is_real or not before.abilities.density:
        return None
    batch = patient.batches("train", SOME)[0]
    if len(none := _unread(before, batch)) == before.latent:
        text = "No gradient of log p(x given z) reaches z, for any latent in any row, before the first step already."
        step = NextStep("Train with a network that does not cut its input off.", patient.case.train(network="mlp"))
        return Finding("detached-encoder", FAULT, text, "the encoder is cut off", (step,), {"latents": none})
    none = [] if patient.model is None else _unread(patient.model, batch)
    if not none or len(none) == before.latent:
        return None
    names = ", ".join(map(str, none[:NAMED])) + (", ..." if len(none) > NAMED else "")
    text = (
        f"The decoder does not read {count(len(none), 'latent')} of {before.latent} ({names}): the derivative of "
        "log p(x given z) by them is exactly 0 in every row."
    )
    step = NextStep("Leave out what is not read.", patient.evidence.train(latent=before.latent - len(none)))
    return Finding("dead-latents", FAULT, text, "latents are not read", (step,), {"latents": none})


def _unread(model: Model, batch: Batch) -> list[int]:
    """The latents that have no gradient in any row."""
    with own_noise(), torch.enable_grad():
        z = model.encode(batch).sample(torch.Size((1,))).requires_grad_()
        log_px = model.log_px(z, batch).sum()
        if not log_px.requires_grad:
            return list(range(z.shape[-1]))
        (made,) = torch.autograd.grad(log_px, z, allow_unused=True, materialize_grads=True)
    return [int(place) for place in (made.abs().amax((0, 1)) == 0).nonzero()[:, 0]]


def _flat_gradient(value: Tensor, weights: Sequence[Tensor]) -> Tensor:
    """In float64; what the value does not depend on has the gradient 0."""
    made = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten().double() for gradient in made])


def _exploded(patient: Patient, before: Gradients, after: Gradients) -> Finding | None:
    for group, norms in after.norms.items():
        name, start, end = GROUPS[group], float(before.norms[group].median()), float(norms.median())
        course = patient.evidence.history.gradients(group)
        most = int(course.argmax()) if len(course) else 0
        most_norm = float(course[most]) if len(course) else 0.0
        figures = {"group": name, "norm": end, "before": start, "largest": float(norms.max()), "in_training": most_norm}
        step = NextStep(
            "Limit the gradient and take smaller steps.", patient.case.train(lr=patient.evidence.lower_rate, clip=100.0)
        )
        if not math.isfinite(figures["largest"]):  # type: ignore[arg-type]
            text = f"The gradient of the {name} is not finite on training rows."
            return Finding("exploding-gradients", FAULT, text, "the gradient is not finite", (step,), figures)
        usual = f"on training rows it is {plain(end)} now, and was {plain(start)} before the first step"
        if most_norm > EXPLODED * max(min(start, end), 1.0):
            epoch = int(patient.evidence.history.epochs[most])
            text = f"The gradient norm of the {name} was {plain(most_norm)} at the end of epoch {epoch}; {usual}."
        elif end > EXPLODED * max(start, 1.0):
            text = f"The gradient norm of the {name} exploded: {usual}."
        else:
            continue
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


GRADIENT_RULES: tuple[PatientRule, ...] = (gradients, detached, unread)
