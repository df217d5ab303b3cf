"""What a likelihood of K = 5000 samples costs: 10,000 MNIST images, 784-200-200-50, time, memory, share of the machine.

    python benchmarks/many_samples.py [--rows 10000] [--samples 5000] [--threads 2] [--record]

The share of the machine's own rate counts the decoder's matrix products alone, 2 (50 200 + 200 200 + 200 784)
operations per image and sample, over the rate of [1000, 512] x [512, 784] float32 products measured in the same process
between pieces of the work. Memory is the peak of the whole process, libraries and data included.

Needs MNIST (NELBO_DATA). Close everything else first.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from typing import Any

import torch

from nelbo.evaluate import importance_log_likelihood
from nelbo.reproduce import iwae
from nelbo.settings import resolve
from nelbo.train.job import prepare, train
from outcome import circumstances, start, write_record

MINUTES_BAR, MEMORY_BAR, SHARE_BAR = 8.0, 2.0, 0.45
ENOUGH = 10_000, 5_000  # images and samples: with fewer nothing is recorded
OPERATIONS = 2 * (50 * 200 + 200 * 200 + 200 * 784)
PIECE, PRODUCTS = 500, 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ENOUGH[0], help="[%(default)s]")
    parser.add_argument("--samples", type=int, default=ENOUGH[1], help="[%(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="[%(default)s]")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/many_samples.json")
    arguments = parser.parse_args()
    record = circumstances("many_samples", arguments.threads)
    torch.set_num_threads(arguments.threads)
    job = prepare(resolve(iwae.SETTINGS, {"steps": 200, "threads": arguments.threads}))
    model = train(job)[0].model.eval()
    seconds, products, log_likelihood = 0.0, [products_a_second()], 0.0
    for rows in torch.split(job.split.test[: arguments.rows], PIECE):
        batches = job.in_order(rows)
        started = time.perf_counter()
        found = importance_log_likelihood(model, batches.fixed(), arguments.samples)
        seconds += time.perf_counter() - started
        products.append(products_a_second())
        log_likelihood += float(found.log_likelihood.sum())
    operations = OPERATIONS * arguments.rows * arguments.samples
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    figures = [
        figure("minutes", seconds / 60, MINUTES_BAR, seconds / 60 < MINUTES_BAR),
        figure("peak memory, GiB", memory, MEMORY_BAR, memory < MEMORY_BAR),
        figure(
            "share of the rate of bare matrix products",
            operations / seconds / (sum(products) / len(products)),
            SHARE_BAR,
            operations / seconds / (sum(products) / len(products)) >= SHARE_BAR,
        ),
    ]
    for one in figures:
        print(f"{one['name']:<50} {one['value']:.3f}   bar {one['bar']}: {'reached' if one['holds'] else 'missed'}")
    print(
        f"log-likelihood {log_likelihood / arguments.rows:.2f} nats; {sum(products) / len(products) / 1e9:.0f} GFLOP/s"
    )
    if arguments.record and (arguments.rows, arguments.samples) != ENOUGH:
        print("not recorded: too few images or samples", file=sys.stderr)
    elif arguments.record:
        print(f"record: {write_record(record | {'figures': figures})}")


def products_a_second() -> float:
    """Operations a second of one [1000, 512] x [512, 784] product after the other, into memory that is there."""
    left, right, out = torch.randn(1_000, 512), torch.randn(512, 784), torch.empty(1_000, 784)
    torch.mm(left, right, out=out)
    started = time.perf_counter()
    for _ in range(PRODUCTS):
        torch.mm(left, right, out=out)
    return PRODUCTS * 2 * 1_000 * 512 * 784 / (time.perf_counter() - started)


def figure(name: str, value: float, bar: float, holds: bool) -> dict[str, Any]:
    """A figure and the bar it has to reach or to stay below."""
    return {"name": name, "value": round(value, 4), "bar": bar, "holds": holds}


if __name__ == "__main__":
    start(main)
