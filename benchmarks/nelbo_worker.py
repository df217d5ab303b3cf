"""Measures nelbo, and the hand-written loop, in a process of its own."""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch

from cases import CASES, binary_rows, job_of, orders
from nelbo.cli.output import train_listener
from nelbo.core import Batch
from nelbo.evaluate import importance_log_likelihood
from nelbo.runs import load_model, train_run
from nelbo.storage import write_json
from nelbo.train.monitor import EpochRecord, Listener
from plain import PlainLoop, plain_model

PRODUCTS = 10  # matrix products timed before each piece
PIECE = 20  # rows evaluated between them


@final
class Stamps(Listener):
    """The time at each epoch's end."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        self.times.append(time.perf_counter())


def main() -> None:
    arguments = _parser().parse_args()
    torch.set_num_threads(arguments.threads)
    tasks = {"train": train, "plain": plain, "evaluate": evaluate}
    measured = tasks[arguments.task](arguments)
    content = {**measured, "torch": str(torch.__version__), "threads": torch.get_num_threads()}
    write_json(arguments.out, content)


def train(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each epoch after the first, as `nelbo train` runs: run folder, checkpoints, metrics, live bar."""
    job = job_of(CASES[arguments.case], rows=arguments.rows, threads=arguments.threads)
    epochs = job.settings.model_copy(update={"steps": None, "epochs": arguments.epochs + 1})
    stamps = Stamps()
    with tempfile.TemporaryDirectory() as folder:
        train_run(replace(job, settings=epochs), Path(folder) / "run", listeners=[train_listener(), stamps])
    return {"seconds": np.diff(stamps.times).tolist(), "rows": len(job.split.train)}


def plain(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each epoch after the first, by the hand-written loop, which shows nothing and keeps nothing."""
    case = CASES[arguments.case]
    job = job_of(case, rows=arguments.rows, threads=arguments.threads)
    per_epoch = len(job.batches("train"))
    order = orders(job, per_epoch * (arguments.epochs + 1))
    loop = PlainLoop(plain_model(case), binary_rows(job), order)
    times = []
    for _ in range(arguments.epochs + 1):
        for _ in range(per_epoch):
            loop()
        times.append(time.perf_counter())
    return {"seconds": np.diff(times).tolist(), "rows": len(job.split.train)}


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds and mean of the importance-sampled log-likelihood, with the machine's product rate beside each piece."""
    model = load_model(arguments.model)
    x = torch.from_numpy(np.load(arguments.data)).float()
    importance_log_likelihood(model, [Batch(x[:2])], arguments.samples)
    left, right = torch.randn(1_000, 512), torch.randn(512, 784)
    out = torch.empty(1_000, 784)
    _product_seconds(left, right, out)
    pieces, products, log_likelihood = [], [], 0.0
    for rows in torch.split(x, PIECE):
        products.append(_product_seconds(left, right, out))
        started = time.perf_counter()
        estimate = importance_log_likelihood(model, [Batch(rows)], arguments.samples)
        pieces.append({"rows": len(rows), "seconds": time.perf_counter() - started})
        log_likelihood += float(estimate.log_likelihood.sum())
    return {
        "seconds": sum(piece["seconds"] for piece in pieces),
        "rows": len(x),
        "log_likelihood": log_likelihood / len(x),
        "product_flops": 2 * left.shape[0] * left.shape[1] * right.shape[1] / float(np.mean(products)),
    }


def _product_seconds(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor) -> float:
    """Mean seconds of one [1000, 512] x [512, 784] product into memory that is there already."""
    started = time.perf_counter()
    for _ in range(PRODUCTS):
        torch.mm(left, right, out=out)
    return (time.perf_counter() - started) / PRODUCTS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=("train", "plain", "evaluate"))
    parser.add_argument("--case", choices=tuple(CASES), default="mlp-128")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--model", type=Path, help="folder of a saved model")
    parser.add_argument("--data", type=Path, help="zeros and ones, .npy [N, 1, 28, 28]")
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    return parser


if __name__ == "__main__":
    main()
