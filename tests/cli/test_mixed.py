"""A table of several kinds from the command line: trained, measured, drawn from and reported column by column."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from .conftest import TINY, read_rows, refuse, succeed

ROWS = 80


def write(path: Path, top: int = 3) -> Path:
    """Six kinds of columns; the highest grade stands in the last row alone, which a sequential split tests on."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=ROWS)
    grade = np.digitize(z, [-0.5, 0.5])
    grade[-1] = top
    columns = {
        "member": (rng.random(ROWS) < 0.5).astype(int),
        "grade": grade,
        "visits": rng.poisson(50, ROWS),
        "share": rng.random(ROWS).round(4),
        "balance": (100 * z).round(3),
        "price": np.exp(z + 1).round(3) + 1,
    }
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("mixed")
    options = ("--likelihood", "mixed:ordinal=grade", "--split", "sequential", *TINY)
    said = succeed("train", write(home / "people.csv"), *options, "--run", home / "run").err
    assert "each column is scored as what it is" in said
    return home / "run"


def test_it_is_evaluated_under_the_mixed_measure_with_a_level_never_trained_on(run: Path) -> None:
    found = json.loads(succeed("evaluate", run, "--samples", 20, "--json").out)
    assert math.isfinite(found["log_likelihood"])
    assert found["reference_measure"].startswith("mixed: probability mass on the 3 discrete columns times Lebesgue")
    (baseline,) = found["baselines"]
    assert baseline["reference_measure"] == found["reference_measure"]


def test_draws_are_legal_in_every_column(run: Path, tmp_path: Path) -> None:
    succeed("sample", run, "-n", 40, "--draw", "-o", tmp_path / "new.csv")
    rows = read_rows(tmp_path / "new.csv")
    values = {name: [float(row[name]) for row in rows] for name in rows[0]}
    assert set(values["member"]) <= {0, 1}
    assert set(values["grade"]) <= {0, 1, 2, 3}
    assert all(v == round(v) >= 0 for v in values["visits"])
    assert all(0 <= v <= 1 for v in values["share"])
    assert all(v > 0 for v in values["price"])


def test_the_report_and_the_codes_are_written(run: Path, tmp_path: Path) -> None:
    succeed("report", run)
    assert "mixed: probability mass" in (run / "report.html").read_text()
    succeed("encode", run, "-o", tmp_path / "codes.csv")
    assert set(read_rows(tmp_path / "codes.csv")[0]) == {"row", "z1", "z2"}


def test_other_data_with_values_that_a_column_cannot_take_are_refused(run: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "others.csv", top=7)
    message = refuse("evaluate", run, other)
    assert "column 'grade' of 'others' holds values up to 7, but the run was trained on its levels 0..3" in message
    other.write_text(other.read_text().replace(",7,", ",1,").replace("share", "shares"))
    assert "lacks the column 'share'" in refuse("evaluate", run, other)
    lines = write(tmp_path / "negative.csv").read_text().splitlines()
    lines[1] = ",".join([*lines[1].split(",")[:5], "-2.0"])
    other.write_text("\n".join(lines))
    assert "column 'price'" in refuse("evaluate", run, other)


def test_a_network_that_cannot_emit_unlike_numbers_is_refused(run: Path) -> None:
    source = run.parent / "people.csv"
    message = refuse("train", source, "--likelihood", "mixed", "--network", "conv-1d", *TINY)
    assert "use --network mlp" in message
    assert "leave out" in refuse("train", "digits", "--likelihood", "mixed", *TINY)
