"""Records are resumable, and the published tables say what the records say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nelbo.errors import NelboError
from nelbo.reproduce import REPRODUCTIONS, Figure, Reproduction, find, run_reproduction
from nelbo.reproduce.docs import PAGE, render
from nelbo.reproduce.record import RECORDS
from nelbo.storage import read_json

ROOT = Path(__file__).parents[2]


def toy(measure: Callable[[int], float], configuration: dict[str, Any] | None = None) -> Reproduction:
    return Reproduction(
        name="toy",
        title="A toy",
        citation="kingma2014",
        configuration=configuration or {"hidden": (3, 4)},
        figures=[Figure("value", 2.0, "by hand", 1.5, 2.5)],
        measure=lambda seed, say: {"value": measure(seed), "beside": 7.0},
        sources=("digits",),
    )


def test_figures_are_means_and_sample_standard_deviations_over_seeds() -> None:
    content = run_reproduction(toy(float), 3, lambda text: None)
    value, beside = content["figures"]
    assert (value["mean"], value["sd"], value["holds"]) == (1.0, 1.0, False)
    assert (beside["mean"], beside["reference"], beside["holds"]) == (7.0, None, None)


@pytest.mark.parametrize(("value", "holds"), [(1.5, True), (2.5, True), (1.49, False), (2.51, False)])
def test_too_good_fails_as_well(value: float, holds: bool) -> None:
    assert run_reproduction(toy(lambda seed: value), 1, lambda text: None)["figures"][0]["holds"] is holds


def test_a_seed_that_the_record_holds_is_not_run_again_unless_asked_or_changed(tmp_path: Path) -> None:
    ran: list[int] = []

    def measure(seed: int) -> float:
        ran.append(seed)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return 2.0

    record = tmp_path / "toy.json"
    with pytest.raises(KeyboardInterrupt):
        run_reproduction(toy(measure), 2, lambda text: None, record)
    run_reproduction(toy(measure), 2, lambda text: None, record)
    assert ran == [0, 1, 1]
    run_reproduction(toy(measure), 2, lambda text: None, record, again=True)
    assert ran == [0, 1, 1, 0, 1]
    run_reproduction(toy(measure, {"hidden": (5,)}), 1, lambda text: None, record)
    assert ran == [0, 1, 1, 0, 1, 0]


def test_the_published_tables_are_those_of_the_records() -> None:
    records = [read_json(path) for path in sorted((ROOT / RECORDS).glob("*.json"))]
    assert records
    assert (ROOT / PAGE).read_text() == render(records)


def test_every_record_is_of_a_reproduction_as_it_is_now() -> None:
    for path in (ROOT / RECORDS).glob("*.json"):
        record = read_json(path)
        assert record["name"] in REPRODUCTIONS
        wanted = {(f.name, f.reference, f.low, f.high) for f in REPRODUCTIONS[record["name"]].figures}
        shown = {(f["name"], f["reference"], f["low"], f["high"]) for f in record["figures"]}
        assert wanted <= shown, record["name"]


def test_an_unknown_reproduction_is_refused_with_the_nearest() -> None:
    with pytest.raises(NelboError, match="did you mean 'ppca'"):
        find("pcca")
