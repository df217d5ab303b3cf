"""Training throughput: nelbo's trainer against a hand-written loop, and against pythae.

    python benchmarks/throughput.py [--cases mlp-128 mlp-512 conv-128] [--compile] [--without-pythae] [--record]

Against the loop: both are stepped in turns in one process, a coin deciding who goes first in each pair, and the same
is done with two instances of the loop (the A/A control, whose interval should hold 1). A step of nelbo's is a full one
of its trainer: batch, rates, forward, check, backward, update, ledger, files of metrics, and the figures of the
progress bar. The drawing of that bar happens in a thread, which would slow both sides alike, and is left to the second
part.

Whole runs: `nelbo train` as a person starts it (run folder, checkpoints, live bar on a terminal), pythae's own trainer
with its bars, and the loop, each in a process of its own, round after round in changing order. pythae is measured with
its default Adam and with the fused one.

Needs MNIST (NELBO_DATA). Ratios are of speeds: above 1 nelbo is the faster one. Close everything else first.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cases import CASES, HIDDEN, LATENT, LR, Case, binary_rows, job_of, orders
from nelbo.cli.progress import Bar
from nelbo.core import Batch
from nelbo.errors import ConfigError, TrainingError
from nelbo.train.job import Job
from nelbo.train.monitor import MetricsFile, StepsFile
from outcome import Measured, Record, circumstances, start
from peer import NELBO_WORKER, PYTHAE_WORKER, pythae_python, run_worker
from plain import PlainLoop, PlainVAE, copy_weights, plain_model
from ratios import Ratio, Times, alternate, interleave, of_means, of_medians, of_rounds
from trainer_loop import TrainerLoop

ENOUGH, ENOUGH_ROUNDS = 2_000, 5  # steps and rounds: with fewer no bar is judged and nothing recorded
ALL_ROWS = 60_000
WARM_UP = 50  # steps; a compiled step is warmed up over a whole epoch, whose last batch is a shape of its own
EAGER_BAR, COMPILED_BAR, PYTHAE_BAR = 0.94, 1.0, 1.15


def main() -> None:
    arguments = _arguments()
    parameters = {"steps": arguments.steps, "rounds": arguments.rounds, "seed": arguments.seed}
    record = Record(circumstances("throughput", arguments.threads) | parameters, keep=arguments.record)
    torch.set_num_threads(arguments.threads)
    for case in (CASES[name] for name in arguments.cases):
        for measured in against_loop(case, arguments):
            record.add(measured)
    if not arguments.without_pythae:
        for measured in whole_runs(CASES["mlp-128"], arguments):
            record.add(measured)
    if arguments.steps < ENOUGH:
        print(f"{arguments.steps} steps show that everything runs; for figures and bars take {ENOUGH:,} or more")


def against_loop(case: Case, arguments: argparse.Namespace) -> Iterator[Measured]:
    """Trainer and loop in turns; the loop and itself in turns; with `--compile`, the compiled ones as well."""
    job = job_of(case, threads=arguments.threads)
    x = binary_rows(job)
    check_same_loss(case, job, x[: case.batch_size])
    per_epoch = len(job.batches("train"))
    whole = per_epoch + 1
    order = orders(job, arguments.steps + max(WARM_UP, whole))

    def loop(compiled: bool = False) -> PlainLoop:
        return PlainLoop(_initial(case, job, compiled), x, order)

    yield _control(f"{case.name}: loop / loop (A/A control)", loop(), loop(), arguments)
    yield _trainer_and_loop(f"{case.name}: nelbo / loop", job, loop(), arguments, WARM_UP, EAGER_BAR)
    if arguments.compile:
        settings = job.settings.model_copy(update={"compile": True})
        compiled = replace(job, settings=settings)
        name = f"{case.name}: nelbo compiled / loop"
        yield _trainer_and_loop(name, compiled, loop(), arguments, whole, COMPILED_BAR)
        yield _trainer_and_loop(f"{name} compiled", compiled, loop(True), arguments, whole, None)


def whole_runs(case: Case, arguments: argparse.Namespace) -> list[Measured]:
    """Samples a second over whole epochs after the first, each contestant in a process of its own, round by round."""
    python = pythae_python()
    job = job_of(case)
    rows = min(len(job.split.train), arguments.steps * case.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.npy"
        np.save(data, binary_rows(job, rows=rows).to(torch.uint8).numpy())
        sizes = ("--hidden", HIDDEN, "--latent", LATENT, "--batch-size", case.batch_size, "--lr", LR)
        common = ("--epochs", arguments.epochs)

        def ours(task: str) -> Callable[[], Any]:
            words = (task, "--case", case.name, "--rows", rows, *common)
            return lambda: run_worker(sys.executable, NELBO_WORKER, arguments.threads, *words)

        def theirs(*more: str) -> Callable[[], Any]:
            words = ("train", "--data", data, *sizes, *common, *more)
            return lambda: run_worker(python, PYTHAE_WORKER, arguments.threads, *words)

        contestants = {
            "nelbo": ours("train"),
            "pythae": theirs(),
            "pythae, fused Adam": theirs("--fused"),
            "loop": ours("plain"),
        }
        rounds = interleave(contestants, arguments.rounds)
    speeds = {name: [_samples_per_second(result) for result in results] for name, results in rounds.items()}
    bars = {"pythae": PYTHAE_BAR}
    return [_whole_run(case, other, speeds, bars.get(other), rounds) for other in contestants if other != "nelbo"]


def check_same_loss(case: Case, job: Job, x: Tensor) -> None:
    """Both sides must compute the same loss from the same weights, batch and noise, or a comparison means nothing.

    Raises
    ------
    TrainingError
        If they differ by more than rounding.
    """
    objective = job.build().train()
    plain = _initial(case, job, compiled=False).train()
    losses = []
    for forward in (lambda: objective(Batch(x)).loss, lambda: plain(x)):
        torch.manual_seed(0)
        losses.append(float(forward().detach()))
    if abs(losses[0] - losses[1]) > 1e-4 * abs(losses[1]):
        raise TrainingError(
            f"{case.name}: nelbo's loss is {losses[0]:.4f} and the loop's {losses[1]:.4f} on the same batch; "
            "they are not the same model, so mend benchmarks/plain.py"
        )


def _initial(case: Case, job: Job, compiled: bool) -> PlainVAE:
    """The plain model with nelbo's initial weights."""
    model = plain_model(case)
    copy_weights(job.build(), model)
    if compiled:
        model.compile()
    return model


def _control(name: str, first: PlainLoop, second: PlainLoop, arguments: argparse.Namespace) -> Measured:
    times = alternate(first, second, arguments.steps, warm_up=WARM_UP, seed=arguments.seed)
    return _said(name, times, None, {})


def _trainer_and_loop(
    name: str, job: Job, loop: PlainLoop, arguments: argparse.Namespace, warm_up: int, bar: float | None
) -> Measured:
    with (
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "progress.log").open("w") as log,
        contextlib.redirect_stderr(log),
    ):
        files = [MetricsFile(Path(folder) / "metrics.jsonl"), StepsFile(Path(folder) / "steps.jsonl")]
        trainer = TrainerLoop(job, [*files, Bar()])
        times = alternate(trainer, loop, arguments.steps, warm_up=warm_up, seed=arguments.seed)
        trainer.close()
    losses = {
        "last_loss_of_nelbo": round(trainer.last_loss(), 2),
        "last_loss_of_loop": round(float(loop.loss.detach()), 2),
    }
    return _said(name, times, bar, losses)


def _said(name: str, times: Times, bar: float | None, details: dict[str, Any]) -> Measured:
    medians = of_medians(times)
    milliseconds = (1e3 * np.median(times, 0)).round(4).tolist()
    details = {"ratio_of_medians": medians.as_json(), "median_milliseconds": milliseconds, **details}
    measured = Measured(name, of_means(times), bar if len(times) >= ENOUGH else None, details)
    print(f"{measured.line()}\n{'  medians':<58} {medians}   {milliseconds[0]:.3f} / {milliseconds[1]:.3f} ms a step")
    return measured


def _whole_run(
    case: Case, other: str, speeds: dict[str, list[float]], bar: float | None, rounds: dict[str, list[Any]]
) -> Measured:
    ratio: Ratio = of_rounds(speeds["nelbo"], speeds[other])
    details = {
        "samples_per_second_of_nelbo": [round(speed) for speed in speeds["nelbo"]],
        "samples_per_second_of_other": [round(speed) for speed in speeds[other]],
        "torch_of_other": rounds[other][0]["torch"],
    }
    enough = len(speeds["nelbo"]) >= ENOUGH_ROUNDS and rounds["nelbo"][0]["rows"] == ALL_ROWS
    measured = Measured(f"{case.name}, whole runs: nelbo / {other}", ratio, bar if enough else None, details)
    print(measured.line())
    print(f"  samples/s, mean over rounds: {np.mean(speeds['nelbo']):,.0f} / {np.mean(speeds[other]):,.0f}")
    return measured


def _samples_per_second(result: dict[str, Any]) -> float:
    return float(result["rows"] / np.mean(result["seconds"]))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=ENOUGH, help="of each side [%(default)s]")
    parser.add_argument("--rounds", type=int, default=ENOUGH_ROUNDS, help="of whole runs [%(default)s]")
    parser.add_argument("--epochs", type=int, default=2, help="measured in each whole run [%(default)s]")
    parser.add_argument("--cases", nargs="*", choices=tuple(CASES), default=tuple(CASES))
    parser.add_argument("--compile", action="store_true", help="also the compiled trainer (needs g++)")
    parser.add_argument("--without-pythae", action="store_true", help="leave the whole runs out")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="of who goes first [%(default)s]")
    parser.add_argument("--record", action="store_true", help="add to benchmarks/records/throughput.json")
    arguments = parser.parse_args()
    if min(arguments.steps, arguments.rounds, arguments.epochs, arguments.threads) < 1:
        raise ConfigError("--steps, --rounds, --epochs and --threads must be 1 or more")
    if arguments.record and (arguments.steps < ENOUGH or arguments.rounds < ENOUGH_ROUNDS):
        raise ConfigError(
            f"--record keeps figures of {ENOUGH:,} steps and {ENOUGH_ROUNDS} rounds or more; "
            "leave --steps and --rounds out"
        )
    if arguments.compile and shutil.which("g++") is None and shutil.which("c++") is None:
        print("--compile is left out: it needs a C++ compiler, and none is found", file=sys.stderr)
        arguments.compile = False
    return arguments


if __name__ == "__main__":
    start(main)
