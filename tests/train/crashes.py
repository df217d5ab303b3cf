"""Trainings that are killed at random instants and taken up again, in children forked from a warm parent."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nelbo.runs import train_run, train_stages
from nelbo.settings import resolve
from nelbo.storage import read_tensors
from nelbo.train.job import Job, make_trainer, prepare
from nelbo.train.stages import Stage, Stored
from train.children import ended, forked
from zoo import SMALL, rows_of

# Dropout, batch norm, noise in the data and a moving average: everything a checkpoint has to hold.
TRAININGS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "mlp": ("levels", {"binarize": "dynamic", "hidden": (16, 8), "ema": 0.9}),
    "conv": ("levels", {"network": "conv:channels=4,dropout=0.3", "ema": 0.99, "warmup": "linear:0.5"}),
}
# Three stages, the second on the codes of the first, the third with its encoder held still.
STAGES = (
    Stage(name="first", changes={"epochs": 3}),
    Stage(name="codes", changes={"latent": 1, "epochs": 2}, reads="first"),
    Stage(
        name="last",
        changes={"epochs": 3, "objective": "beta-tc"},
        stored={
            "posterior": Stored(of="first", path="posterior"),
            "likelihood": Stored(of="first", path="likelihood", frozen=False),
        },
    ),
)
TRAININGS_OF_STAGES = {"stages": ("levels", {"network": "conv:channels=4,dropout=0.3", "ema": 0.9})}
EVERY = (*TRAININGS, *TRAININGS_OF_STAGES)
SETTINGS: Mapping[str, Any] = {**SMALL, "epochs": 8, "checkpoint_every": "1steps", "threads": 1}


def job_of(name: str) -> Job:
    """The job of a training, data in memory."""
    data, special = {**TRAININGS, **TRAININGS_OF_STAGES}[name]
    job = prepare(resolve(SETTINGS, {"source": data}, special), rows_of(data))
    make_trainer(job)  # torch's first optimiser imports its compiler, once here instead of in every child
    return job


def child(job: Job, folder: Path, stages: Sequence[Stage] = ()) -> int:
    """A process that trains into the folder, or goes on with what it holds; its number."""
    goes_on = (folder / "config.json").exists()
    if stages:
        return forked(lambda: train_stages(job, stages, folder, resume=goes_on))
    return forked(lambda: train_run(job, folder, resume=goes_on))


def killed_again_and_again(name: str, folder: Path, kills: int, seed: int) -> tuple[int, list[str]]:
    """Kill a training `kills` times at random instants, starting anew where one ends before.

    Returns
    -------
    How many trainings came to their end, and the weights that differ from an uninterrupted one's in any of them.
    """
    job, rng, stages = job_of(name), random.Random(seed), STAGES if name in TRAININGS_OF_STAGES else ()
    started = time.perf_counter()
    assert ended(child(job, folder / "whole", stages))
    length = time.perf_counter() - started
    places = [path.relative_to(folder / "whole") for path in (folder / "whole").rglob("model.safetensors")]
    runs, different = 0, []
    while kills or runs == 0:
        runs += 1
        run = folder / f"run-{runs}"
        while True:
            pid = child(job, run, stages)
            if kills:
                time.sleep(rng.uniform(0, 0.6 * length))
                os.kill(pid, signal.SIGKILL)  # a child that has ended is a zombie still: nothing happens to it
            if ended(pid):
                break
            kills -= 1
        for place in places:
            expected, _ = read_tensors(folder / "whole" / place)
            found, _ = read_tensors(run / place)
            different += [f"run {runs}: {place}: {name}" for name in expected if not found[name].equal(expected[name])]
    return runs, different
