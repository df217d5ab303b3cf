"""What stands beside the figures of several runs: the settings they differ in, their course, and who is comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from nelbo.core import Model
from nelbo.errors import NelboError
from nelbo.evaluate.comparison import shared_reference, shared_rows
from nelbo.runs import Run, last_of
from nelbo.train.job import Job

# How a training was watched and kept, and on how many cores: no part of what it is.
BESIDE_THE_POINT = frozenset(
    {
        "threads", "device", "compile", "time_limit", "checkpoint_every", "keep_checkpoints",
        "log", "log_every", "images_every",
    }
)  # fmt: skip


@final
@dataclass(frozen=True)
class Overview:
    """One run beside others; figures in nats per datum."""

    name: str
    settings: Mapping[str, Any]  # those that are not the same in all runs
    epochs: int
    seconds: float | None  # of training
    kl: float | None  # of the split's evaluation, else of the last look at held-out rows
    active_units: int | None
    steps: Sequence[int]  # after each epoch
    bounds: Sequence[float | None]  # after each epoch: validation, training where no row was held out


def overviews(runs: Sequence[tuple[str, Run]], split: str = "test") -> list[Overview]:
    """Each run's part in a table of runs."""
    settings = [run.config()["settings"] for _, run in runs]
    differing = differences(settings)
    return [
        _overview(name, run, {key: own.get(key) for key in differing}, split)
        for (name, run), own in zip(runs, settings, strict=True)
    ]


def differences(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that are not the same in all of several runs, in their order."""
    names = [name for each in settings for name in each]
    first = settings[0]
    return [
        name
        for name in dict.fromkeys(names)
        if name not in BESIDE_THE_POINT and any(each.get(name) != first.get(name) for each in settings[1:])
    ]


def not_comparable(fitted: Sequence[tuple[str, Job, Model]], split: str) -> dict[str, str]:
    """Why a run cannot be put beside the first, by name; empty where all can."""
    first, reasons = fitted[0], {}
    for other in fitted[1:]:
        try:
            shared_rows([first[1], other[1]], split)
            shared_reference([first, other])
        except NelboError as problem:
            reasons[other[0]] = str(problem)
    return reasons


def _overview(name: str, run: Run, settings: Mapping[str, Any], split: str) -> Overview:
    records, evaluation = run.metrics(), run.evaluation(split) or {}
    latents: Mapping[str, Any] = last_of(records, "latents")
    part = "validation" if any(record.get("validation") for record in records) else "train"
    seconds = run.state().get("seconds")
    return Overview(
        name=name,
        settings=settings,
        epochs=len(records),
        seconds=None if seconds is None else float(seconds),
        kl=evaluation.get("kl", latents.get("rate")),
        active_units=evaluation.get("active_units", latents.get("active")),
        steps=[int(record["step"]) for record in records],
        bounds=[record.get(part, {}).get("bound") for record in records],
    )
