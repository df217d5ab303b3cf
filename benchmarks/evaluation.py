"""Likelihood evaluation: nelbo's importance-sampled log-likelihood against pythae's `get_nll`.

    python benchmarks/evaluation.py [--rows 200] [--samples 1000] [--without-pythae] [--record]

One Bernoulli VAE (784-512-20, decoder 20-512-784) with the same weights on both sides scores the same test images of
MNIST. Each library is measured in a process of its own, round after round in changing order; pythae with its default
of 100 draws at a time and with all draws at once, both without gradients. The two estimates must agree.

Beside it stands the share of the machine's own rate: the decoder's products a second, 2 (20 512 + 512 784) operations
per datum and sample and nothing else counted, over the rate of [1000, 512] x [512, 784] float32 products that is
measured in the same process between pieces of the work.

Needs MNIST (NELBO_DATA). Close everything else first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cases import CASES, HIDDEN, LATENT, binary_rows, job_of
from nelbo.core import SinglePhase
from nelbo.errors import ConfigError, TrainingError
from nelbo.runs import save_model
from nelbo.train.job import Job, make_trainer
from outcome import Measured, circumstances, start, write_record
from peer import NELBO_WORKER, PYTHAE_WORKER, pythae_python, run_worker
from ratios import Ratio, interleave, of_rounds

ENOUGH_ROWS, ENOUGH_SAMPLES, ENOUGH_ROUNDS = ENOUGH = 100, 1_000, 5  # with fewer no bar is judged, nothing recorded
PYTHAE_BAR, SHARE_BAR = 2.0, 0.65
OPERATIONS = 2 * (LATENT * HIDDEN + HIDDEN * 784)  # of the decoder's products, per datum and sample
AGREEMENT = 1.0  # nats; different noise moves the mean over the rows by less


def main() -> None:
    arguments = _arguments()
    record = circumstances("evaluation", arguments.threads) | {
        "rows": arguments.rows,
        "samples": arguments.samples,
        "rounds": arguments.rounds,
    }
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        rounds = measure(Path(folder), arguments)
    measured = [against_products(rounds["nelbo"], arguments)]
    measured += [against(other, rounds, arguments) for other in rounds if other != "nelbo"]
    for one in measured:
        details = one.details
        print(
            f"{one.line()}\n  log-likelihood {details['log_likelihood']:.2f} nats; ns per datum and sample, by round:"
        )
        print(f"  {details['nanoseconds_per_datum_and_sample']}")
    if arguments.record:
        print(f"record: {write_record(record | {'figures': [one.as_json() for one in measured]})}")


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, list[Any]]:
    """The workers' results, by contestant and round."""
    job = job_of(CASES["mlp-128"], threads=arguments.threads)
    model, data, weights = folder / "model", folder / "test.npy", folder / "weights.npz"
    fitted = _trained(job, arguments.train_steps)
    save_model(model, fitted.model)
    _write_weights(weights, fitted)
    np.save(data, binary_rows(job, "test", arguments.rows).to(torch.uint8).numpy())
    common = ("evaluate", "--data", data, "--samples", arguments.samples)
    words = (*common, "--model", model)
    contestants = {"nelbo": partial(run_worker, sys.executable, NELBO_WORKER, arguments.threads, *words)}
    if not arguments.without_pythae:
        python = pythae_python()
        theirs = (*common, "--weights", weights, "--hidden", HIDDEN, "--latent", LATENT)
        for batch in dict.fromkeys((min(100, arguments.samples), arguments.samples)):
            contestants[f"pythae, {batch} draws at a time"] = partial(
                run_worker, python, PYTHAE_WORKER, arguments.threads, *theirs, "--batch-size", batch
            )
    return interleave(contestants, arguments.rounds)


def against_products(results: list[dict[str, Any]], arguments: argparse.Namespace) -> Measured:
    """Decoder operations a second over those of bare matrix products in the same process."""
    samples = arguments.samples
    reached = [OPERATIONS * result["rows"] * samples / result["seconds"] for result in results]
    rates = [result["product_flops"] for result in results]
    details = {
        "nanoseconds_per_datum_and_sample": _nanoseconds(results, samples),
        "gflops_of_products": [round(rate / 1e9, 2) for rate in rates],
        "log_likelihood": round(results[0]["log_likelihood"], 3),
    }
    return Measured("nelbo / bare matrix products", of_rounds(reached, rates), _bar(SHARE_BAR, arguments), details)


def against(other: str, rounds: dict[str, list[Any]], arguments: argparse.Namespace) -> Measured:
    """Speed per datum and importance sample over the other's.

    Raises
    ------
    TrainingError
        If the two estimates of the same likelihood disagree.
    """
    ours, theirs, samples = rounds["nelbo"], rounds[other], arguments.samples
    gap = abs(ours[0]["log_likelihood"] - theirs[0]["log_likelihood"])
    if not gap < AGREEMENT:
        raise TrainingError(
            f"nelbo estimates {ours[0]['log_likelihood']:.2f} nats and {other} {theirs[0]['log_likelihood']:.2f} for "
            "the same model and rows; look for the difference before comparing speeds"
        )
    details = {
        "nanoseconds_per_datum_and_sample": _nanoseconds(theirs, samples),
        "log_likelihood": round(theirs[0]["log_likelihood"], 3),
        "torch_of_other": theirs[0]["torch"],
    }
    ratio: Ratio = of_rounds([1 / result["seconds"] for result in ours], [1 / result["seconds"] for result in theirs])
    return Measured(f"nelbo / {other}", ratio, _bar(PYTHAE_BAR, arguments), details)


def _trained(job: Job, steps: int) -> SinglePhase:
    """A few steps of training, so that posteriors and logits are of the size they have in use."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        trainer = make_trainer(job)
        next((done for done in trainer.walk() if done >= steps), None)
    return trainer.objective


def _write_weights(path: Path, module: nn.Module) -> None:
    """The parameters in order, named by their place."""
    arrays = {f"{i:03d}": p.detach().numpy() for i, p in enumerate(module.parameters())}
    np.savez(path, allow_pickle=False, **arrays)


def _bar(bar: float, arguments: argparse.Namespace) -> float | None:
    return bar if _is_enough(arguments) else None


def _is_enough(arguments: argparse.Namespace) -> bool:
    measured = (arguments.rows, arguments.samples, arguments.rounds)
    return all(has >= wanted for has, wanted in zip(measured, ENOUGH, strict=True))


def _nanoseconds(results: list[dict[str, Any]], samples: int) -> list[float]:
    return [round(1e9 * result["seconds"] / (result["rows"] * samples), 1) for result in results]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200, help="test images [%(default)s]")
    parser.add_argument("--samples", type=int, default=ENOUGH_SAMPLES, help="importance samples [%(default)s]")
    parser.add_argument("--rounds", type=int, default=ENOUGH_ROUNDS, help="[%(default)s]")
    parser.add_argument("--train-steps", type=int, default=500, help="before evaluating [%(default)s]")
    parser.add_argument("--without-pythae", action="store_true")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="[%(default)s]")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/evaluation.json")
    arguments = parser.parse_args()
    if min(arguments.rows, arguments.samples, arguments.rounds, arguments.train_steps, arguments.threads) < 1:
        raise ConfigError("--rows, --samples, --rounds, --train-steps and --threads must be 1 or more")
    if arguments.record and not _is_enough(arguments):
        raise ConfigError(
            f"--record keeps figures of {ENOUGH_ROWS} rows, {ENOUGH_SAMPLES} samples and {ENOUGH_ROUNDS} rounds "
            "or more; leave --rows, --samples and --rounds out"
        )
    return arguments


if __name__ == "__main__":
    start(main)
