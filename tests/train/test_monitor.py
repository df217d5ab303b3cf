"""What is measured while training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nelbo.core import Loss
from nelbo.errors import StorageError
from nelbo.storage import read_lines
from nelbo.train.monitor import FOLD, EpochRecord, Ledger, MetricsFile


def losses(beta: float) -> tuple[list[Loss], np.ndarray, np.ndarray]:
    """Losses of batches of unlike sizes, with the likelihoods and KLs they came from."""
    rng = np.random.default_rng(0)
    log_px, kl = rng.normal(-100, 5, 25), rng.gamma(3.0, 2.0, 25)
    made = []
    for rows in (slice(0, 10), slice(10, 20), slice(20, 25)):
        likelihood, divergence = torch.tensor(log_px[rows]), torch.tensor(kl[rows])
        parts = {"likelihood": -likelihood, "kl": beta * divergence, "extra": torch.tensor(2.0)}
        made.append(Loss(torch.tensor(0.0), likelihood - divergence, parts, {"kl": divergence}))
    return made, log_px, kl


@pytest.mark.parametrize("beta", [1.0, 0.25, 4.0])
def test_means_are_over_rows_and_the_kl_is_unweighted(beta: float) -> None:
    made, log_px, kl = losses(beta)
    ledger = Ledger()
    for loss in made:
        ledger.add(loss, 0 if loss.bound is None else len(loss.bound))
    summary = ledger.summary()
    assert ledger.rows == 25
    assert summary["likelihood"] == pytest.approx(log_px.mean())
    assert summary["kl"] == pytest.approx(kl.mean())
    assert summary["bound"] == pytest.approx((log_px - kl).mean())
    assert summary["extra"] == pytest.approx(2.0)
    assert summary["loss"] == pytest.approx((-log_px + beta * kl).mean() + 2.0)


def test_a_long_epoch_is_added_up_in_double_precision() -> None:
    ledger, step = Ledger(), torch.tensor([1e4, 1e4 + 1 / 1024])
    for _ in range(3 * FOLD + 5):
        ledger.add(Loss(torch.tensor(0.0), step, {"likelihood": -step}), 2)
        assert len(ledger._noted) < FOLD
    assert ledger.summary()["bound"] == pytest.approx(1e4 + 1 / 2048, abs=1e-9)
    assert ledger.summary() == ledger.summary()


def record(epoch: int) -> EpochRecord:
    return EpochRecord(epoch, 3 * epoch, {"loss": 1.5}, {"loss": 1.6}, {"beta": 1.0}, 1e-3, 1e4, 0.5)


def test_every_epoch_is_one_line_of_json(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.started(2, 10, 0)
    for epoch in (1, 2):
        file.finished_epoch(record(epoch), True)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record(1).as_json(), record(2).as_json()]
    assert json.loads(lines[0])["train"] == {"loss": 1.5}


def test_epochs_that_are_done_again_are_dropped(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.started(4, 10, 0)
    for epoch in (1, 2, 3):
        file.finished_epoch(record(epoch), True)
    file.started(4, 10, 2)
    assert [line["epoch"] for line in read_lines(tmp_path / "metrics.jsonl")] == [1, 2]


@pytest.mark.parametrize("length", range(1, 60, 7))
def test_a_last_line_that_was_cut_off_is_not_read_and_not_kept(tmp_path: Path, length: int) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = json.dumps(record(1).as_json()) + "\n"
    path.write_text(whole + json.dumps(record(2).as_json())[:length])
    assert [line["epoch"] for line in read_lines(path)] == [1]
    MetricsFile(path).started(4, 10, 2)
    assert path.read_text() == whole


def test_no_file_is_no_records(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "metrics.jsonl") == []


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").mkdir()
    with pytest.raises(StorageError, match="go on with --resume"):
        MetricsFile(tmp_path / "metrics.jsonl").finished_epoch(record(1), True)
