"""A thousand kills: trainings that are killed at random instants end bit for bit where uninterrupted ones do.

    python benchmarks/crashes.py [--kills 1000] [--record]

The trainings and the killing are those of tests/train/test_crash.py: small multilayer perceptrons and convolutional
nets with dropout, batch norm, noise in the data and a moving average, and a training of three stages, a checkpoint
after every step.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from train.crashes import EVERY, killed_again_and_again

from outcome import circumstances, start, write_record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1_000, help="[%(default)s]")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/crashes.json")
    parser.add_argument("--only", choices=EVERY, help="one of the trainings")
    arguments = parser.parse_args()
    chosen = EVERY if arguments.only is None else (arguments.only,)
    record = circumstances("crashes", threads=1)
    figures, share = [], arguments.kills // len(chosen)
    for place, name in enumerate(chosen):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            runs, different = killed_again_and_again(name, Path(folder), share, seed=place)
        print(f"{name}: {share} kills in {runs} trainings, {len(different)} weights differ", flush=True)
        figures.append(
            {
                "name": f"{name}: weights that differ after {share} kills in {runs} trainings",
                "value": len(different),
                "bar": 0,
                "holds": not different,
                "took": round(time.perf_counter() - started, 1),
            }
        )
    if arguments.record:
        print(f"record: {write_record(record | {'kills': arguments.kills, 'figures': figures})}")


if __name__ == "__main__":
    start(main)
