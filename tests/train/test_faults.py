"""Faults of the world around a training: what stood before the fault stands after it, and the training goes on."""

from __future__ import annotations

import ctypes
import os
import resource
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import final

import pytest
from torch import Tensor

from nelbo.errors import StorageError
from nelbo.runs import Run, train_run
from nelbo.storage import read_tensors
from nelbo.train.checkpoint import Checkpoints
from nelbo.train.job import Job
from nelbo.train.monitor import EpochRecord, Listener
from train.children import ended, forked
from train.crashes import job_of

FAULT = 4  # the epoch that it strikes after
EPOCHS = 8


@pytest.fixture(scope="module")
def job() -> Job:
    return job_of("mlp")


@pytest.fixture(scope="module")
def expected(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Tensor]:
    """The weights of the training that nothing happens to."""
    return weights(train_run(job, tmp_path_factory.mktemp("whole")))


@final
class Strike(Listener):
    """Does something after an epoch."""

    def __init__(self, fault: Callable[[], object]) -> None:
        self._fault = fault

    def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
        if record.epoch == FAULT:
            self._fault()


def weights(run: Run) -> Mapping[str, Tensor]:
    return read_tensors(run.folder / "model" / "model.safetensors")[0]


def assert_ends_like(expected: Mapping[str, Tensor], run: Run) -> None:
    found = weights(run)
    assert [name for name in expected if not found[name].equal(expected[name])] == []
    assert [record["epoch"] for record in run.metrics()] == list(range(1, EPOCHS + 1))


def survives(
    job: Job, folder: Path, expected: Mapping[str, Tensor], strike: Callable[[], object], mend: Callable[[], object]
) -> None:
    """A training is struck, says so in a sentence, leaves a sound checkpoint and whole files, and ends as ever."""
    with pytest.raises(StorageError, match=r"cannot write .*: (No space|File too large|Read-only).*; free some space"):
        train_run(job, folder, listeners=[Strike(strike)])
    run = Run(folder)
    read_tensors(Checkpoints(run.checkpoints).files[0])
    assert [record["epoch"] for record in run.metrics()][:FAULT] == list(range(1, FAULT + 1))
    mend()
    assert_ends_like(expected, train_run(job, folder, resume=True))
    assert not [path for path in folder.rglob("*") if "tmp" in path.name]


# Each in a child: limits and mounts are of a process.


def test_files_that_may_not_grow(job: Job, expected: Mapping[str, Tensor], tmp_path: Path) -> None:
    def limit(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def work() -> None:
        survives(job, tmp_path / "run", expected, lambda: limit(2_000), lambda: limit(resource.RLIM_INFINITY))

    assert ended(forked(work))


def test_a_disk_that_is_full(job: Job, expected: Mapping[str, Tensor], tmp_path: Path) -> None:
    def work() -> None:
        with own_disk(tmp_path) as remount:

            def fill() -> None:
                with pytest.raises(OSError, match="No space"), (tmp_path / "others").open("wb") as file:
                    file.write(b"0" * (4 << 20))

            remount("size=2m", False)
            survives(job, tmp_path / "run", expected, fill, (tmp_path / "others").unlink)

    assert ended(forked(work))


def test_a_disk_that_turns_read_only(job: Job, expected: Mapping[str, Tensor], tmp_path: Path) -> None:
    def work() -> None:
        with own_disk(tmp_path) as remount:
            survives(
                job, tmp_path / "run", expected, lambda: remount("size=2m", True), lambda: remount("size=2m", False)
            )

    assert ended(forked(work))


NEW_MOUNTS, NEW_USER = 0x00020000, 0x10000000  # flags of unshare(2)
READ_ONLY, REMOUNT, RECURSIVE, PRIVATE = 1, 32, 1 << 14, 1 << 18  # flags of mount(2)


@contextmanager
def own_disk(folder: Path) -> Iterator[Callable[[str, bool], None]]:
    """A disk of a few megabytes in memory at a folder, for this process alone; it can be mounted anew."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(libc, name)(*arguments):
            raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")

    user, group = os.getuid(), os.getgid()
    call("unshare", NEW_MOUNTS if user == 0 else NEW_MOUNTS | NEW_USER)
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    call("mount", b"none", b"/", None, RECURSIVE | PRIVATE, None)
    place = str(folder).encode()

    def mount(options: str, read_only: bool, flags: int = REMOUNT) -> None:
        call("mount", b"tmpfs", place, b"tmpfs", flags | (READ_ONLY if read_only else 0), options.encode())

    mount("size=2m", False, flags=0)
    yield mount


# And in this process.


def test_a_clock_that_jumps_back(
    job: Job, expected: Mapping[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order is by steps, never by the clock of the files; durations do not come from the clock of the day."""
    now = [time.time()]

    def back() -> float:
        now[0] -= 3600.0
        return now[0]

    def struck() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.time", back)
    with pytest.raises(KeyboardInterrupt):
        train_run(job, tmp_path, listeners=[Strike(struck)])
    run = Run(tmp_path)
    for age, file in enumerate(Checkpoints(run.checkpoints).files):  # the newest looks the oldest
        os.utime(file, (1e9 + age, 1e9 + age))
    assert_ends_like(expected, train_run(job, tmp_path, resume=True))
    seconds = [record["seconds"] for record in run.metrics()]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0


@pytest.mark.parametrize("damage", ["cut", "emptied", "zeros", "removed"])
def test_a_metrics_file_that_was_damaged(damage: str, job: Job, expected: Mapping[str, Tensor], tmp_path: Path) -> None:
    """What is left of it is kept, the training goes on to the same end, and what comes is added."""

    def struck() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_run(job, tmp_path, listeners=[Strike(struck)])
    run = Run(tmp_path)
    content = run.metrics_file.read_bytes()
    lines = content.splitlines(keepends=True)
    left = {"cut": 2, "emptied": 0, "zeros": FAULT - 1, "removed": 0}[damage]
    if damage == "removed":
        run.metrics_file.unlink()
    else:
        rest = {"cut": lines[2][:40], "emptied": b"", "zeros": b"\0" * 200 + b"\xff\n"}[damage]
        run.metrics_file.write_bytes(b"".join(lines[:left]) + rest)
    train_run(job, tmp_path, resume=True)
    assert weights(run).keys() == expected.keys()
    assert all(weights(run)[name].equal(expected[name]) for name in expected)
    # The fault came before the end of its epoch was saved: that record is written again, those before are not.
    assert [record["epoch"] for record in run.metrics()] == [*range(1, left + 1), *range(FAULT, EPOCHS + 1)]
