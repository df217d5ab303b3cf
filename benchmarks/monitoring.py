"""What monitoring costs a training step: the trainer as it is by default against one that nobody follows.

    python benchmarks/monitoring.py [--steps 4000] [--record]

784-512-20 on binarised MNIST, batches of 128. Both are stepped in turns in one process, a coin deciding who goes first;
what is done at an epoch's end is charged to the step after it. Followed means: metrics.jsonl, steps.jsonl, gradient
norms at logged steps, latents after epochs, the figures of the progress bar. The control is a trainer that nobody
follows against another. The tape, when it is off, is not there at all: no hook, no branch but an empty loop.

Needs MNIST (NELBO_DATA). Ratios are of speeds, followed over not followed. Close everything else first.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from cases import CASES, job_of
from nelbo.cli.progress import Bar
from nelbo.train.job import Job
from nelbo.train.monitor import MetricsFile, StepsFile
from outcome import Measured, Record, circumstances, start
from ratios import alternate, of_means
from trainer_loop import TrainerLoop

NEVER = "1000000000steps"
ENOUGH, WARM_UP, BAR = 2_000, 50, 0.97  # of the speed, at least: monitoring costs 3 % at most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4_000, help="[%(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="[%(default)s]")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/monitoring.json")
    arguments = parser.parse_args()
    parameters = {"steps": arguments.steps, "seed": arguments.seed}
    record = Record(circumstances("monitoring", arguments.threads) | parameters, keep=arguments.record)
    torch.set_num_threads(arguments.threads)
    job = job_of(CASES["mlp-128"], threads=arguments.threads)
    with (
        tempfile.TemporaryDirectory() as folder,
        (Path(folder) / "progress.log").open("w") as log,
        contextlib.redirect_stderr(log),
    ):
        listeners = [MetricsFile(Path(folder) / "metrics.jsonl"), StepsFile(Path(folder) / "steps.jsonl"), Bar()]
        pairs = {
            "nobody / nobody (A/A control)": (TrainerLoop(unfollowed(job), []), None),
            "followed / nobody": (TrainerLoop(job, listeners), BAR),
        }
        for name, (trainer, bar) in pairs.items():
            times = alternate(
                trainer, TrainerLoop(unfollowed(job), []), arguments.steps, warm_up=WARM_UP, seed=arguments.seed
            )
            measured = Measured(f"mlp-128: {name}", of_means(times), bar if len(times) >= ENOUGH else None, {})
            print(record.add(measured).line(), flush=True)
            trainer.close()


def unfollowed(job: Job) -> Job:
    """The same job without logged steps."""
    return replace(job, settings=job.settings.model_copy(update={"log_every": NEVER}))


if __name__ == "__main__":
    start(main)
