"""Planted faults: does the doctor name what broke a training, and does it keep silent about healthy ones?

    python benchmarks/faults.py tuning|test [--only WORDS] [--again] [--record]
    python benchmarks/faults.py tuning|test --settled

Each fault is planted in trainings on several data sets and seeds, and `nelbo doctor` looks at the run; its first
finding should be the cause. Healthy trainings should have none; that they are healthy is not the doctor's to say:
--settled holds their bounds against those of runs three times as long. The doctor's thresholds are set on the data
sets of `tuning`; those of `test` are only looked at when they stand. What was found is kept below runs/faults for the
code as it is committed, so that an interrupted suite goes on.

Needs the data sets below NELBO_DATA.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nelbo import load_plugin
from nelbo.doctor import Severity, examine, examine_data
from nelbo.errors import NelboError, TrainingError
from nelbo.reproduce.record import code
from nelbo.runs import Run, train_run
from nelbo.settings import resolve
from nelbo.storage import read_json, write_json
from nelbo.train.job import prepare
from outcome import circumstances, start, write_record
from planted.faults import FAULTS, Fault
from planted.sites import HALVES, Site, write

ENOUGH, SILENT = 0.8, 0.05  # right first, at least; false alarms, at most
PLUGIN = Path(__file__).parent.parent / "tests" / "doctor" / "faulty_objectives.py"
HEALTHY = "healthy"


@dataclass(frozen=True)
class Case:
    """One training."""

    fault: Fault | None
    site: Site
    seed: int

    @property
    def name(self) -> str:
        return HEALTHY if self.fault is None else self.fault.name

    @property
    def key(self) -> str:
        return f"{self.name} | {self.site.name} | {self.seed}"


def cases(half: str) -> Iterator[Case]:
    """Two seeds of every fault at every site it suits, and all seeds of the healthy training."""
    for site in HALVES[half]:
        for seed in range(site.seeds, site.seeds + HEALTHY_SEEDS):
            yield Case(None, site, seed)
        for fault in FAULTS:
            if fault.suits(site):
                for seed in range(site.seeds, site.seeds + FAULTY_SEEDS):
                    yield Case(fault, site, seed)


HEALTHY_SEEDS, FAULTY_SEEDS = 10, 2


def findings(case: Case, folder: Path) -> list[str]:
    """The keys of what the doctor finds, from warnings on, the first first."""
    shutil.rmtree(folder, ignore_errors=True)
    fault, site = case.fault, case.site
    values = site.values
    if fault is not None and fault.values is not None:
        values = fault.values(values, np.random.default_rng(case.seed))
    source = write(values, folder)
    own = {} if fault is None else fault.settings(site)
    settings = resolve({**site.settings, "source": str(source), "seed": case.seed}, own)
    try:
        job = prepare(settings)
    except NelboError:  # refused before a training: the data are looked at instead
        diagnosis = examine_data(settings)
    else:
        with nullcontext() if fault is None else fault.planted(site), suppress(TrainingError):  # which the run says
            train_run(job, folder / "run")
        diagnosis = examine(Run(folder / "run"))
    return [found.key for found in diagnosis.findings if found.severity >= Severity.WARNING]


def settled(site: Site, folder: Path) -> str:
    """The healthy training's held-out bound, and how far one three times as long gets; the doctor is not asked."""
    source, bounds = write(site.values, folder), []
    for times in (1, 3):
        shutil.rmtree(folder / "run", ignore_errors=True)
        changes = {"source": str(source), "seed": site.seeds, "epochs": times * site.settings["epochs"]}
        records = train_run(prepare(resolve(site.settings, changes)), folder / "run").metrics()
        bounds.append(max(float(record["validation"]["bound"]) for record in records))
    return f"{site.name}: bound {bounds[0]:.2f}, {bounds[1] - bounds[0]:+.2f} in three times the epochs"


def verdict(case: Case, found: list[str]) -> bool:
    """Whether the first finding is the cause; of a healthy training, whether there is none."""
    return not found if case.fault is None else bool(found) and found[0] in case.fault.causes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("half", choices=HALVES)
    parser.add_argument("--only", default="", help="cases whose fault or data set contains these words")
    parser.add_argument("--again", action="store_true", help="forget what was found before")
    parser.add_argument("--settled", action="store_true", help="whether the healthy trainings are done")
    parser.add_argument("--record", action="store_true", help="write benchmarks/records/faults.json (of the test half)")
    arguments = parser.parse_args()
    record = circumstances("faults", threads=1)
    torch.set_num_threads(1)
    load_plugin(PLUGIN)
    home = Path("runs/faults")
    if arguments.settled:
        for site in HALVES[arguments.half]:
            print(settled(site, home / "work" / site.name), flush=True)
        return
    chosen = [case for case in cases(arguments.half) if arguments.only in case.key]
    known: dict[str, list[str]] = {}
    for number, case in enumerate(chosen, 1):
        # A file for each training: several processes may work on parts of the suite.
        name = case.key.replace(" | ", "-").replace(" ", "-")
        kept, work = home / code()[:12] / f"{name}.json", home / "work" / name
        if arguments.again or not kept.exists():
            write_json(kept, findings(case, work))
            shutil.rmtree(work)
        known[case.key] = read_json(kept)
        right = "ok  " if verdict(case, known[case.key]) else "MISS"
        print(f"[{number}/{len(chosen)}] {right} {case.key}: {', '.join(known[case.key]) or '-'}", flush=True)
    table = matrix(chosen, known)
    print(json.dumps(table["figures"], indent=1))
    if arguments.record and arguments.half == "test" and not arguments.only:
        print(f"record: {write_record(record | table)}")
    elif arguments.record:
        print("not recorded: only the whole test half is", file=sys.stderr)


def matrix(chosen: list[Case], known: Mapping[str, list[str]]) -> dict[str, Any]:
    """The confusion matrix, fault by first finding, and the two figures that count."""
    first: dict[str, Counter[str]] = {}
    right: dict[str, list[bool]] = {}
    for case in chosen:
        found = known[case.key]
        first.setdefault(case.name, Counter())[found[0] if found else "nothing"] += 1
        right.setdefault(case.name, []).append(verdict(case, found))
    faulty = [one for name, each in right.items() if name != HEALTHY for one in each]
    alarms = [not one for one in right.get(HEALTHY, [])]
    named = sum(faulty) / max(1, len(faulty))
    false = sum(alarms) / max(1, len(alarms))
    return {
        "matrix": [
            {"fault": name, "trainings": len(right[name]), "right": sum(right[name]), "first": dict(counts)}
            for name, counts in first.items()
        ],
        "figures": [
            {"name": "right cause first", "value": named, "bar": ENOUGH, "holds": named >= ENOUGH, "n": len(faulty)},
            {"name": "false alarms", "value": false, "bar": SILENT, "holds": false <= SILENT, "n": len(alarms)},
        ],
    }


if __name__ == "__main__":
    start(main)
