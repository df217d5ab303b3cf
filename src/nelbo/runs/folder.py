"""The run folder: what one training leaves behind, and how it is found again.

`config.json` (everything that was decided), `metrics.jsonl` (a line an epoch), `steps.jsonl` (one for each step that
was looked at), `checkpoints/`, `images/`, `model/` (all that a fitted model needs: see `nelbo.runs.fitted`),
`evaluation-*.json`, `measures-*.json`, `report.html`. Every write is atomic; loading executes nothing.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from torch import nn

from nelbo.errors import RunError, StorageError
from nelbo.storage import read_json, read_lines, write_json

if TYPE_CHECKING:
    from nelbo.runs.fitted import Fitted

FORMAT = 2  # of a run; what was written before the first release under another is not read
FAILED = "failed: "  # how the reason of a training that could not go on starts


@final
class Run:
    """One run on disk; nothing is read until it is asked for."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @property
    def metrics_file(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def steps_file(self) -> Path:
        return self.folder / "steps.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def stage_folder(self, name: str) -> Path:
        """Where the model of a stage before the last lies."""
        return self.folder / "stages" / name

    @property
    def report_file(self) -> Path:
        return self.folder / "report.html"

    @property
    def exists(self) -> bool:
        return (self.folder / "config.json").exists()

    @property
    def is_complete(self) -> bool:
        return (self.folder / "model" / "config.json").exists()

    def config(self) -> dict[str, Any]:
        """What was decided before the first step.

        Raises
        ------
        RunError
            If the folder is no run.
        """
        if not self.exists:
            raise RunError(f"{self.folder} is not a run (it has no config.json); nelbo runs lists those there are")
        config: dict[str, Any] = read_json(self.folder / "config.json")
        if "spec" in config:
            raise RunError(f"{self.folder} is the model of a run and no run: name the run, or new rows after the model")
        check_format(config, FORMAT, str(self.folder))
        return config

    def metrics(self) -> list[dict[str, Any]]:
        """One record an epoch."""
        return read_lines(self.metrics_file)

    def steps(self) -> list[dict[str, Any]]:
        """One record for each step that was looked at."""
        return read_lines(self.steps_file)

    def state(self) -> dict[str, Any]:
        """How the training ended; empty while it has not."""
        path = self.folder / "state.json"
        return read_json(path) if path.exists() else {}

    def load(self, networks: Mapping[str, nn.Module] | None = None) -> Fitted:
        """The fitted model, as `nelbo.load`."""
        from nelbo.runs.fitted import load

        return load(self, networks)

    def write_config(self, config: Mapping[str, Any]) -> None:
        write_json(self.folder / "config.json", config)

    def write_state(self, state: Mapping[str, Any]) -> None:
        write_json(self.folder / "state.json", state)

    def write_evaluation(self, content: Mapping[str, Any]) -> None:
        """Keep the last evaluation of a split; that of a discrete counterpart beside the run's own."""
        name = f"{content['split']}-discrete" if content.get("discrete") else str(content["split"])
        write_json(self.folder / f"evaluation-{name}.json", content)

    def write_measures(self, split: str, found: Mapping[str, Any]) -> None:
        """Keep what was measured on a split, beside what was measured before."""
        write_json(self.folder / f"measures-{split}.json", {**self.measures(split), **found})

    def measures(self, split: str = "test") -> dict[str, Any]:
        """What was measured on a split, by the part string of the measure."""
        path = self.folder / f"measures-{split}.json"
        return read_json(path) if path.exists() else {}

    def evaluation(self, split: str = "test") -> dict[str, Any] | None:
        path = self.folder / f"evaluation-{split}.json"
        return read_json(path) if path.exists() else None


def last_of(records: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """The last figures of a kind that not every epoch has, as `latents`; empty where there are none."""
    return next((dict(record[name]) for record in reversed(records) if record.get(name)), {})


def check_format(content: Any, known: int, what: str) -> None:
    """Refuse a file of another format.

    Raises
    ------
    StorageError
        If it is damaged, from a newer nelbo, or from one before this format.
    """
    written = content.get("format") if isinstance(content, dict) else None
    if not isinstance(written, int) or isinstance(written, bool):
        raise StorageError(f"{what} is damaged (its config.json names no format); restore it from a copy")
    if written > known:
        raise StorageError(f"{what} was written by a newer nelbo (format {written}); upgrade nelbo")
    if written < known:
        raise StorageError(f"{what} was written by an older nelbo (format {written}, now {known}); train it anew")


def machine() -> dict[str, Any]:
    """Cores and CPU model, for figures that depend on them."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {"cores": os.cpu_count() or 1, "cpu": model, "system": platform.system()}


def claim(folder: Path | None, *, resume: bool = False, overwrite: bool = False, root: Path = Path("runs")) -> Path:
    """The folder a new training may use.

    Without a name a fresh numbered one is taken under `root`. An existing run is only taken to be resumed, or moved
    aside (`name.old-1`), never destroyed.

    Raises
    ------
    RunError
        If the folder holds something and neither was asked for, or there is nothing to resume.
    """
    if folder is None:
        if resume:
            raise RunError("--resume needs to know which run; name it with --run DIR")
        return _fresh(root)
    if resume:
        if not Run(folder).exists:
            raise RunError(f"there is no run to resume in {folder}; start it without --resume")
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        if not overwrite:
            raise RunError(
                f"{folder} exists; go on with --resume, start anew with --overwrite (the old one is kept aside)"
            )
        _move_aside(folder)
    return folder


def runs(root: Path = Path("runs")) -> Iterator[Run]:
    """The runs below a folder, by name."""
    if not root.is_dir():
        return iter(())
    return (Run(path.parent) for path in sorted(root.rglob("config.json")) if path.parent.name != "model")


def _fresh(root: Path) -> Path:
    numbers = [int(p.name) for p in root.iterdir() if re.fullmatch(r"\d+", p.name)] if root.is_dir() else []
    return root / f"{max(numbers, default=0) + 1:03d}"


def _move_aside(folder: Path) -> None:
    number = 1
    while (aside := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    try:
        folder.rename(aside)
    except OSError as problem:
        raise RunError(f"cannot move {folder} aside ({problem.strerror}); choose another --run") from problem
