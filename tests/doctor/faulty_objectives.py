"""A plugin whose objectives each hold one planted fault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from nelbo import register
from nelbo.core import Batch, Loss, Model, SinglePhase


def loss_of(log_px: Tensor, kl: Tensor, parts: Mapping[str, Tensor]) -> Loss:
    loss = torch.stack([part.mean() for part in parts.values()]).sum()
    return Loss(loss, (log_px - kl).detach(), parts)


@register("objective/averaged")
@final
class Averaged(SinglePhase):
    """The likelihood as a mean over dimensions, under names of its own."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Loss:
        terms = self.model.terms(batch, analytic=True)
        log_px, kl = terms.log_px[0], terms.kl.sum((0, 1))
        return loss_of(log_px, kl, {"reconstruction": -log_px / batch.x[0].numel(), "divergence": kl})


@register("objective/cut-off")
@final
class CutOff(SinglePhase):
    """z is detached before it is decoded."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Loss:
        terms = self.model.terms(batch, analytic=True)
        log_px, kl = self.model.likelihood.log_px(terms.z.detach(), batch)[0], terms.kl.sum((0, 1))
        return loss_of(log_px, kl, {"likelihood": -log_px, "kl": kl})


@register("objective/sound")
@final
class Sound(SinglePhase):
    """The bound, written anew, of a batch that is a copy."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> Loss:
        terms = self.model.terms(replace(batch, x=batch.x.clone()), analytic=True)
        log_px, kl = terms.log_px[0], terms.kl.sum((0, 1))
        return loss_of(log_px, kl, {"likelihood": -log_px, "kl": kl})
