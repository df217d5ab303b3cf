"""A plugin whose objectives, and whose network, each hold one planted fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import final

import torch
from torch import Tensor

from nelbo import register
from nelbo.core import Batch, Loss, Model, SinglePhase
from nelbo.networks import MLP, Network


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


@register("network/cut-off-mlp")
@final
class CutOffMLP(Network):
    """A network that detaches what it is given, so that no gradient reaches what was before it."""

    def __init__(
        self, in_features: int, out_features: int, hidden: Sequence[int] | int = (16,), context: int = 0
    ) -> None:
        super().__init__()
        self.out_features = out_features
        self.inner = MLP(in_features, out_features, hidden, context=context)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return self.inner(x.detach(), context)
