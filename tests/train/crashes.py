"""Trainings that are killed at random instants and taken up again, in children forked from a warm parent."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nelbo.runs import train_run
from nelbo.settings import resolve
from nelbo.storage import read_tensors
from nelbo.train.job import Job, make_trainer, prepare
from train.children import ended, forked
from zoo import SMALL, rows_of

# Dropout, batch norm, noise in the data and a moving average: everything a checkpoint has to hold.
TRAININGS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "mlp": ("levels", {"binarize": "dynamic", "hidden": (16, 8), "ema": 0.9}),
    "conv": ("levels", {"network": "conv:channels=4,dropout=0.3", "ema": 0.99, "warmup": "linear:0.5"}),
}
SETTINGS: Mapping[str, Any] = {**SMALL, "epochs": 8, "checkpoint_every": "1steps", "threads": 1}


def job_of(name: str) -> Job:
    """The job of a training, data in memory."""
    data, special = TRAININGS[name]
    job = prepare(resolve(SETTINGS, {"source": data}, special), rows_of(data))
    make_trainer(job)  # torch's first optimiser imports its compiler, once here instead of in every child
    return job


def child(job: Job, folder: Path) -> int:
    """A process that trains into the folder, or goes on with what it holds; its number."""
    return forked(lambda: train_run(job, folder, resume=(folder / "config.json").exists()))


def killed_again_and_again(name: str, folder: Path, kills: int, seed: int) -> tuple[int, list[str]]:
    """Kill a training `kills` times at random instants, starting anew where one ends before.

    Returns
    -------
    How many trainings came to their end, and the weights that differ from an uninterrupted one's in any of them.
    """
    job, rng = job_of(name), random.Random(seed)
    started = time.perf_counter()
    assert ended(child(job, folder / "whole"))
    length = time.perf_counter() - started
    expected, _ = read_tensors(folder / "whole" / "model" / "model.safetensors")
    runs, different = 0, []
    while kills or runs == 0:
        runs += 1
        run = folder / f"run-{runs}"
        while True:
            pid = child(job, run)
            if kills:
                time.sleep(rng.uniform(0, 0.6 * length))
                os.kill(pid, signal.SIGKILL)  # a child that has ended is a zombie still: nothing happens to it
            if ended(pid):
                break
            kills -= 1
        found, _ = read_tensors(run / "model" / "model.safetensors")
        different += [f"run {runs}: {name}" for name in expected if not found[name].equal(expected[name])]
    return runs, different
