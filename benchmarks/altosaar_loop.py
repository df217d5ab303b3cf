"""How far one seed of a hand-written loop strays: static MNIST, 784-256-256-128, centred RMSprop at a constant rate.

    python benchmarks/altosaar_loop.py [--seeds 3] [--record]

The reference figures of `nelbo reproduce altosaar` at 5, 10 and 20 thousand steps are one seed of such a loop. This one
has nothing of nelbo's model, objective or trainer in it; it minimises the sum over a batch as the published code does,
and looks at log p (128 importance samples, first 3,000 validation images) at those steps and between them, because
the weights keep moving at a constant rate.

Needs binarized MNIST (NELBO_DATA).
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.settings import resolve
from nelbo.train.job import prepare
from outcome import circumstances, write_record

LATENT, HIDDEN, BATCH, ROWS, SAMPLES = 128, 256, 128, 3_000, 128
LOOKS = (4_800, 5_000, 5_200, 9_600, 9_800, 10_000, 10_200, 10_400, 19_800, 20_000, 20_200)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="[%(default)s]")
    parser.add_argument("--threads", type=int, default=1, help="[%(default)s]")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/altosaar-loop.json")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    record = circumstances("altosaar-loop", arguments.threads)
    job = prepare(resolve({"source": "binarized-mnist", "steps": 1}))
    x = job.data.x.flatten(1).float()
    training, held_out = x[job.split.train], x[job.split.validation[:ROWS]]
    found: dict[int, list[float]] = {step: [] for step in LOOKS}
    for seed in range(arguments.seeds):
        for step, value in one_run(seed, training, held_out):
            found[step].append(value)
            print(f"seed {seed}, {step:,} steps: log p {value:.2f}", flush=True)
    for step, values in found.items():
        spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
        print(f"{step:>6,} steps: log p {statistics.fmean(values):.2f}{spread}")
    if arguments.record:
        figures = [{"step": step, "log_p": [round(value, 3) for value in values]} for step, values in found.items()]
        print(f"record: {write_record(record | {'seeds': arguments.seeds, 'figures': figures})}")


def one_run(seed: int, training: Tensor, held_out: Tensor) -> Iterator[tuple[int, float]]:
    """Train from a seed and look at the steps of `LOOKS`."""
    torch.manual_seed(seed)
    encoder, decoder = perceptron(784, 2 * LATENT), perceptron(LATENT, 784)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.RMSprop(parameters, lr=1e-3, centered=True)
    order = torch.randperm(len(training))
    place = 0
    for step in range(1, max(LOOKS) + 1):
        if place >= len(training):
            order, place = torch.randperm(len(training)), 0
        rows = training[order[place : place + BATCH]]
        place += BATCH
        mean, log_variance = encoder(rows).chunk(2, -1)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        rate = 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance).sum()
        loss = rate + F.binary_cross_entropy_with_logits(decoder(z), rows, reduction="sum")
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step in LOOKS:
            with torch.random.fork_rng(devices=[]), torch.no_grad():
                yield step, log_p(encoder, decoder, held_out)


def perceptron(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, outputs)
    )


def log_p(encoder: nn.Module, decoder: nn.Module, x: Tensor) -> float:
    """log of the mean importance weight, mean over the rows; 500 rows at a time, draw by draw."""
    total = 0.0
    for rows in torch.split(x, 500):
        mean, log_variance = encoder(rows).chunk(2, -1)
        weights = []
        for _ in range(SAMPLES):
            noise = torch.randn_like(mean)
            z = mean + torch.exp(log_variance / 2) * noise
            log_px = -F.binary_cross_entropy_with_logits(decoder(z), rows, reduction="none").sum(-1)
            weights.append(log_px + 0.5 * (noise.square() + log_variance - z.square()).sum(-1))
        total += float((torch.logsumexp(torch.stack(weights), 0) - math.log(SAMPLES)).sum())
    return total / len(x)


if __name__ == "__main__":
    main()
