"""Stick-breaking and Gaussian latents on MNIST by hand, with the choices of the published code.

    python benchmarks/sticks.py sticks|gaussian [--epochs 100]

They are those of github.com/enalisnick/stick-breaking_dgms: grey pixels scored by the binary cross-entropy, all weights
from N(0, 0.01^2), no biases in the heads of the encoder, 45,000 training images; for the sticks also uniforms from
[0.01, 0.99], a series for E[log(1 - v)] cut after ten terms and an asymptotic digamma. Nothing of the library but its
reader of the data is used. It prints the reconstruction error, the KL and the error of 3, 5 and 10 nearest neighbours
on one draw of the latents.
"""

from __future__ import annotations

import argparse
import math
import time

import torch
import torch.nn.functional as F
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from nelbo.data import load

LATENT, HIDDEN, TRAIN, BATCH, TERMS, EULER = 50, 500, 45_000, 100, 10, 0.57721
ORDERS = torch.arange(1, TERMS + 1.0).view(-1, 1, 1)


class Net:
    """784-500-50-500-784, ReLU; the heads give mean and log sigma, or the two shapes before a softplus."""

    def __init__(self, sticks: bool) -> None:
        self.sticks = sticks
        heads = LATENT - 1 if sticks else LATENT
        shapes = [(784, HIDDEN), (HIDDEN, heads), (HIDDEN, heads), (LATENT, HIDDEN), (HIDDEN, 784)]
        self.weights = [(0.01 * torch.randn(shape)).requires_grad_() for shape in shapes]
        self.biases = [torch.zeros(size, requires_grad=True) for size in (HIDDEN, HIDDEN, 784)]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = F.relu(x @ self.weights[0] + self.biases[0])
        one, two = h @ self.weights[1], h @ self.weights[2]
        if not self.sticks:
            return one, two
        return F.softplus(one).clamp(min=1e-4), F.softplus(two).clamp(min=1e-4)

    def draw(self, one: Tensor, two: Tensor) -> Tensor:
        if not self.sticks:
            return one + two.exp() * torch.randn_like(one)
        u = 0.01 + 0.98 * torch.rand_like(one)
        v = (1 - u.pow(1 / two)).clamp(1e-7, 1 - 1e-7).pow(1 / one).clamp(max=1 - 1e-6)
        rest = torch.cumprod(1 - v, 1)
        return torch.cat([v[:, :1], v[:, 1:] * rest[:, :-1], rest[:, -1:]], 1)

    def kl(self, one: Tensor, two: Tensor) -> Tensor:
        if not self.sticks:
            return 0.5 * ((2 * two).exp() + one.square() - 1 - 2 * two).sum(1)
        log_beta = torch.lgamma(ORDERS / one) + torch.lgamma(two) - torch.lgamma(ORDERS / one + two)
        series = (log_beta.exp() / (ORDERS + one * two)).sum(0)
        digamma = two.log() - 1 / (2 * two) - 1 / (12 * two.square())
        each = 4 * two * series + (one - 1) / one * (-EULER - digamma - 1 / two)
        return (each + (one * two).log() - math.log(5) - (two - 1) / two).sum(1)

    def misfit(self, x: Tensor, z: Tensor) -> Tensor:
        logits = F.relu(z @ self.weights[3] + self.biases[1]) @ self.weights[4] + self.biases[2]
        return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)


def main() -> None:
    """Train one of the two and print where it stands every ten epochs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("latent", choices=("sticks", "gaussian"))
    parser.add_argument("--epochs", type=int, default=100)
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load("mnist")
    x, label = data.x.flatten(1).float() / 255, data.label
    train, test = slice(0, TRAIN), slice(60_000, 70_000)
    torch.manual_seed(0)
    net = Net(given.latent == "sticks")
    optimiser = torch.optim.Adam([*net.weights, *net.biases], lr=3e-4)
    started = time.perf_counter()
    for epoch in range(1, given.epochs + 1):
        for rows in torch.randperm(TRAIN).split(BATCH):
            q = net.encode(x[rows])
            loss = (net.misfit(x[rows], net.draw(*q)) + net.kl(*q)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if epoch % 10 and epoch < given.epochs:
            continue
        with torch.no_grad():
            q = net.encode(x[test])
            misfit, kl = float(net.misfit(x[test], net.draw(*q)).mean()), float(net.kl(*q).mean())
            words = f"epoch {epoch}: reconstruction {misfit:.2f}, KL {kl:.2f}, {time.perf_counter() - started:.0f} s"
            if epoch % 50 == 0 or epoch == given.epochs:
                seen, asked = (net.draw(*net.encode(x[part])) for part in (train, test))
                errors = [
                    100
                    * (1 - KNeighborsClassifier(k, algorithm="brute").fit(seen, label[train]).score(asked, label[test]))
                    for k in (3, 5, 10)
                ]
                words += "; error of 3, 5, 10 neighbours " + ", ".join(f"{error:.2f} %" for error in errors)
        print(words, flush=True)


if __name__ == "__main__":
    main()
