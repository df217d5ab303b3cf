"""The yardstick: the same models and the same steps, as one writes them by hand in plain PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cases import CHANNELS, HIDDEN, LATENT, LR, Case


@final
class PlainVAE(nn.Module):
    """Bernoulli VAE; its forward is the loss: cross-entropy plus the closed-form KL, in nats per datum.

    nelbo bounds log-variances below at -14 by a softplus, which here changes them by less than float32 resolves: the
    plain model leaves it out, and nelbo pays for it.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encoder(x).chunk(2, -1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        logits = self.decoder(z)
        distortion = F.binary_cross_entropy_with_logits(logits, x.view_as(logits), reduction="sum")
        rate = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
        loss: Tensor = (distortion + rate) / len(x)
        return loss


@final
class PlainLoop:
    """One call is one step: gather, zero, forward, backward, fused Adam."""

    def __init__(self, model: nn.Module, x: Tensor, order: Iterable[Tensor]) -> None:
        self._model = model
        self._x = x
        self._order = iter(order)
        self._optimiser = torch.optim.Adam(model.parameters(), lr=LR, fused=True)
        self.loss = torch.zeros(())

    def __call__(self) -> None:
        x = self._x.index_select(0, next(self._order))
        self._optimiser.zero_grad(set_to_none=True)
        self.loss = self._model(x)
        self.loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()


def plain_model(case: Case) -> PlainVAE:
    """The case's model; its parameters come in the order of nelbo's."""
    return _conv() if case.is_conv else _mlp()


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """The parameters of one module into another that has the same ones in the same order."""
    with torch.no_grad():
        for theirs, ours in zip(source.parameters(), target.parameters(), strict=True):
            ours.copy_(theirs)


def _mlp() -> PlainVAE:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784))
    return PlainVAE(encoder, decoder)


def _conv() -> PlainVAE:
    few, many = CHANNELS
    encoder = nn.Sequential(
        nn.BatchNorm2d(1),
        nn.Conv2d(1, few, 4, 2, 1),
        nn.ReLU(),
        nn.BatchNorm2d(few),
        nn.Conv2d(few, many, 4, 2, 1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(many * 49, 2 * LATENT),
    )
    decoder = nn.Sequential(
        nn.Linear(LATENT, many * 49),
        nn.ReLU(),
        nn.Unflatten(1, (many, 7, 7)),
        nn.BatchNorm2d(many),
        nn.ConvTranspose2d(many, few, 4, 2, 1),
        nn.ReLU(),
        nn.BatchNorm2d(few),
        nn.ConvTranspose2d(few, 1, 4, 2, 1),
    )
    return PlainVAE(encoder, decoder)
