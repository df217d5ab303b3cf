"""What holds for every test: threads, seeds, plotting without a screen, and the tests that need real data."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before torch is imported: one thread makes sums bit-identical from run to run, and is faster on small tensors.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if os.environ.get("NELBO_DATA"):  # many tests run in a folder of their own, from which a relative path leads nowhere
    os.environ["NELBO_DATA"] = str(Path(os.environ["NELBO_DATA"]).resolve())

import torch

LOGGERS = ("tensorboard", "mlflow", "sqlalchemy", "alembic", "wandb")
NO_LOGGERS = "needs TensorBoard, MLflow and Weights & Biases: make test-loggers"
NO_DATA = "needs real data: set NELBO_DATA to the folder that holds the data sets"


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """A test that names no seed of its own gives the same result every time, in any order."""
    torch.manual_seed(0)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `data` or `loggers` without what it needs; fail it if that was promised and is not there."""
    if item.get_closest_marker("loggers") and not all(importlib.util.find_spec(name) for name in LOGGERS):
        if os.environ.get("NELBO_REQUIRE_LOGGERS") == "1":
            pytest.fail("NELBO_REQUIRE_LOGGERS=1 insists on the loggers, but one is not installed", pytrace=False)
        pytest.skip(NO_LOGGERS)
    if item.get_closest_marker("data") is None:
        return
    folder = os.environ.get("NELBO_DATA")
    if folder and Path(folder).is_dir():
        return
    if folder:
        pytest.fail(f"NELBO_DATA names {folder!r}, which is not a folder", pytrace=False)
    if os.environ.get("NELBO_REQUIRE_DATA") == "1":
        pytest.fail("NELBO_REQUIRE_DATA=1 insists on real data, but NELBO_DATA is not set", pytrace=False)
    pytest.skip(NO_DATA)


@pytest.fixture
def own_parts() -> Iterator[None]:
    """What a test registers or loads as a plugin is forgotten after it."""
    from nelbo import plugins, registry

    registry._open()
    parts, loaded = dict(registry._CLASSES), dict(plugins._LOADED)
    yield
    for held, before in ((registry._CLASSES, parts), (plugins._LOADED, loaded)):
        held.clear()
        held.update(before)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests did not run for want of data or of loggers."""
    for reason in (NO_DATA, NO_LOGGERS):
        skipped = [r for r in terminalreporter.stats.get("skipped", []) if reason in str(r.longrepr)]
        if skipped:
            terminalreporter.write_line(f"{len(skipped)} tests skipped: {reason}", yellow=True)
