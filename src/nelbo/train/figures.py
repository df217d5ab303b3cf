"""What is looked at beside the loss, now and then: norms of gradients, memory, the latents."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, final

import psutil
import torch
from torch import nn

from nelbo.core import Batch, Loss, Model, Phase
from nelbo.models.activity import distortion, summarise_latents
from nelbo.train.monitor import MAIN, Ledger

LATENT_ROWS = 500  # that the latents are summarised over
LATENT_STEPS = 200  # least number of steps between two summaries: they cost about two and a half steps
MEBIBYTE = 2**20

Groups = Mapping[str, Sequence[nn.Parameter]]


@final
class Look:
    """What one step shows when it is looked at: its figures, and the norms of its gradients before they are clipped."""

    def __init__(self, is_logged: bool) -> None:
        self.is_logged = is_logged
        self.gradients: dict[str, float] = {}
        self._ledger = Ledger()

    def at_gradients(self, groups: Groups) -> None:
        """Take the norms while the gradients of a phase stand."""
        self.gradients |= gradient_norms(groups)

    def at_loss(self, phase: str, loss: Loss, rows: int) -> None:
        """Note the loss of a phase."""
        if self.is_logged:
            self._ledger.of(phase).add(loss, rows)

    def figures(self) -> dict[str, float]:
        """Of this step alone, in nats per datum; none where its main phase was not due."""
        return self._ledger.summary() if self._ledger.rows else {}


def groups_of(phase: Phase) -> Groups:
    """The parameters of a phase by the part they belong to: `posterior`, `likelihood`, `prior`.

    Those of another phase than the first bear its name, as its figures do.
    """
    groups: dict[str, list[nn.Parameter]] = {}
    models = [child for child in phase.children() if isinstance(child, Model)]
    parts = {
        id(parameter): part
        for model in models
        for part, modules in model.sides().by_part.items()
        for module in modules
        for parameter in module.parameters()
    }
    for name, parameter in phase.named_parameters():
        part = parts.get(id(parameter), name.removeprefix("model.").partition(".")[0])
        groups.setdefault(part if phase.name == MAIN else f"{phase.name}: {part}", []).append(parameter)
    return groups


@torch.no_grad()
def gradient_norms(groups: Groups) -> dict[str, float]:
    """The Euclidean norm of the gradient of each group, in nats per unit; groups without a gradient are left out."""
    gradients = {name: [p.grad for p in group if p.grad is not None] for name, group in groups.items()}
    everything = [gradient for group in gradients.values() for gradient in group]
    if not everything:
        return {}
    each = iter(torch.stack(torch._foreach_norm(everything)).tolist())
    return {name: math.hypot(*(next(each) for _ in group)) for name, group in gradients.items() if group}


def memory(device: torch.device) -> dict[str, float]:
    """MiB that this process has resident, and the most that torch held on a CUDA device."""
    found = {"resident": psutil.Process().memory_info().rss / MEBIBYTE}
    if device.type == "cuda":
        found["accelerator"] = torch.cuda.max_memory_allocated(device) / MEBIBYTE
    return {name: round(size, 1) for name, size in found.items()}


@final
class LatentWatch:
    """What the latents do, over the same few rows each time: KL of each, active units, rate and distortion.

    Parameters
    ----------
    model
        Is brought to evaluation mode by whoever asks.
    batches
        At most `LATENT_ROWS` rows, on the model's device.
    steps
        Steps in an epoch; where they are few, not every epoch is looked at.
    """

    def __init__(self, model: Model, batches: Sequence[Batch], steps: int) -> None:
        self._model = model
        self._batches = batches
        self._every = max(1, math.ceil(LATENT_STEPS / steps))

    def is_due(self, epoch: int, is_last: bool) -> bool:
        """A function of the epoch alone, so that a resumed training looks where the whole one does."""
        return is_last or epoch == 1 or epoch % self._every == 0

    def __call__(self) -> dict[str, Any]:
        """Nats per datum: `kl` of each latent ([D], where a closed form tells them apart), `rate` and `distortion`.

        `active` is the number of latents whose posterior mean varies (Burda et al. (2016), section 5.3).
        """
        model = self._model
        found = summarise_latents(model, self._batches)
        result: dict[str, Any] = {"active": found.active_units, "distortion": distortion(model, self._batches)}
        if found.rate is not None:
            result["rate"] = found.rate
        if found.kl is not None:
            result["kl"] = [round(value, 5) for value in found.kl.tolist()]
        return result
