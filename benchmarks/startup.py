"""How long the program takes to answer: `nelbo --help`, and `import nelbo` over Python's own start.

    python benchmarks/startup.py [--rounds 20] [--record]

Whole processes of this interpreter, in turns; bars are for medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from typing import Any

from outcome import circumstances, start, write_record

HELP_BAR, IMPORT_BAR = 0.4, 0.15  # seconds
COMMANDS = {
    "python": ("-c", "pass"),
    "import nelbo": ("-c", "import nelbo"),
    "nelbo --help": ("-m", "nelbo", "--help"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="[%(default)s]")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/startup.json")
    arguments = parser.parse_args()
    record = circumstances("startup", threads=1) | {"rounds": arguments.rounds}
    for words in COMMANDS.values():
        seconds(words)  # what is on the disk comes into memory
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(arguments.rounds):
        for name, words in COMMANDS.items():
            times[name].append(seconds(words))
    median = {name: statistics.median(found) for name, found in times.items()}
    figures = [
        figure("nelbo --help, seconds", median["nelbo --help"], HELP_BAR),
        figure("import nelbo over Python's own start, seconds", median["import nelbo"] - median["python"], IMPORT_BAR),
    ]
    for one in figures:
        print(f"{one['name']:<50} {one['seconds']:.3f}   bar {one['bar']}: {'reached' if one['holds'] else 'missed'}")
    if arguments.record:
        all_times = {name: [round(value, 4) for value in found] for name, found in times.items()}
        print(f"record: {write_record(record | {'figures': figures, 'times': all_times})}")


def seconds(words: tuple[str, ...]) -> float:
    """Wall-clock time of one process."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    return time.perf_counter() - started


def figure(name: str, value: float, bar: float) -> dict[str, Any]:
    """A time and the bar it has to stay below."""
    return {"name": name, "seconds": round(value, 4), "bar": bar, "holds": value < bar}


if __name__ == "__main__":
    start(main)
