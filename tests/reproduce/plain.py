"""Hand-written loops, with nothing of the library in them, to compare reduced reproductions with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Score = Callable[[Tensor, Tensor], Tensor]  # decoder output, x -> log p(x given z) of each row


def perceptron(sizes: Sequence[int], activation: type[nn.Module], glorot: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(len(sizes) - 1):
        layers += [nn.Linear(sizes[i], sizes[i + 1]), activation()]
    net = nn.Sequential(*layers[:-1])
    if glorot:
        for weight, bias in zip(*[iter(net.parameters())] * 2, strict=True):
            nn.init.uniform_(weight, -math.sqrt(6 / sum(weight.shape)), math.sqrt(6 / sum(weight.shape)))
            nn.init.zeros_(bias)
    return net


def fit(
    x: Tensor,
    nets: tuple[nn.Sequential, nn.Sequential],
    score: Score,
    optimiser: torch.optim.Optimizer,
    steps: int,
    batch: int,
) -> None:
    """Steps of -ELBO, averaged over the batch, rows drawn without replacement within an epoch."""
    encoder, decoder = nets
    order, place = torch.randperm(len(x)), 0
    for _ in range(steps):
        if place >= len(x):
            order, place = torch.randperm(len(x)), 0
        rows = x[order[place : place + batch]]
        place += batch
        mean, log_variance = encoder(rows).chunk(2, -1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        kl = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(-1)
        loss = (kl - score(decoder(z), rows)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


@torch.no_grad()
def log_likelihood(
    x: Tensor, nets: tuple[nn.Sequential, nn.Sequential], score: Score, draws: int
) -> tuple[float, float]:
    """The bound and the importance-sampled log-likelihood, means over rows."""
    encoder, decoder = nets
    mean, log_variance = encoder(x).chunk(2, -1)
    log_w = []
    for _ in range(draws):
        noise = torch.randn_like(mean)
        z = mean + torch.exp(log_variance / 2) * noise
        log_ratio = 0.5 * (noise**2 + log_variance - z**2).sum(-1)
        log_w.append(score(decoder(z), x) + log_ratio)
    stacked = torch.stack(log_w)
    return float(stacked.mean()), float((torch.logsumexp(stacked, 0) - math.log(draws)).mean())


def bernoulli(logits: Tensor, x: Tensor) -> Tensor:
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)


def sigmoid_gaussian(out: Tensor, x: Tensor) -> Tensor:
    mean, log_variance = out.chunk(2, -1)
    squares = (x - mean.sigmoid()) ** 2 * torch.exp(-log_variance)
    return -0.5 * (squares + log_variance + math.log(2 * math.pi)).sum(-1)
