"""Samples among rows: of the model that made the rows, of one that makes others, in features of the user's own."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from linear_gaussian import at_the_optimum
from nelbo.data import Data, load
from nelbo.errors import ConfigError, DataError
from nelbo.evaluate.measure import Finding, Subject, measure_split
from nelbo.evaluate.measures.samples import DRAWS, MEANS, TRAIN, Samples
from nelbo.models.latent import LatentVariableModel
from nelbo.runs import Fitted, TrainingRows
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare
from zoo import CASES, SMALL, is_legal, rows_of

pytestmark = pytest.mark.usefixtures("own_parts")


def linear() -> LatentVariableModel:
    axes = torch.linalg.qr(torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    rows, mean = torch.zeros(1, 6, dtype=torch.float64), torch.arange(6.0).double()
    model: LatentVariableModel = at_the_optimum(rows, mean, 2.0 * axes, 0.25).model
    return model.float().eval()


MODEL = linear()


def made_by(model: LatentVariableModel, n: int = 900) -> Data:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(54_321)
        return replace(rows_of("real"), x=model.sample(n).sample())


JOB = prepare(resolve({**SMALL, "scaling": "none", "network": "linear", "test": 0.4}), made_by(MODEL))
FITTED, TRAINING = Fitted.of(JOB, MODEL), TrainingRows(JOB.data, JOB.split.train)


def sets(found: Finding) -> Mapping[str, Mapping[str, float]]:
    figures: Mapping[str, Mapping[str, float]] = found.figures["sets"]
    return figures


def measured(model: LatentVariableModel, job: Job = JOB, name: str = "samples") -> Finding:
    return measure_split(job, model, [name])[name]


def test_draws_of_the_model_that_made_the_rows_lie_as_training_rows_do() -> None:
    found = measured(MODEL)
    assert list(sets(found)) == [DRAWS, MEANS, TRAIN, "pPCA, q = 2"]
    for name in (DRAWS, TRAIN, "pPCA, q = 2"):
        figures = sets(found)[name]
        assert figures["precision"] > 0.85
        assert figures["recall"] > 0.85
        assert figures["density"] == pytest.approx(1, abs=0.15)
        assert figures["coverage"] > 0.9
        assert figures["frechet"] < 0.4  # 10 for means and variances of others
        assert abs(figures["kernel"]) < 4 * figures["kernel_standard_error"]
        assert figures["n"] == found.figures["n"]


def test_means_are_precise_and_not_diverse() -> None:
    means, draws = sets(measured(MODEL))[MEANS], sets(measured(MODEL))[DRAWS]
    assert means["density"] > 1.2 * draws["density"]
    assert means["recall"] < 0.5


def test_a_model_that_makes_other_rows_is_found() -> None:
    wrong = copy.deepcopy(MODEL)
    with torch.no_grad():
        wrong.get_submodule("likelihood.network.layer").bias += 10.0
    figures = sets(measured(wrong))[DRAWS]
    assert (figures["precision"], figures["recall"], figures["coverage"]) == (0.0, 0.0, 0.0)
    # A shift of 10 in each column, over its standard deviation, in units of the mean variance of components.
    shift = float((100 / JOB.data.x[JOB.split.train].var(0, correction=0)).sum())
    assert figures["frechet"] == pytest.approx(shift, rel=0.1)


def test_rows_that_are_measured_are_not_among_the_training_rows_beside_them() -> None:
    everything = measure_split(JOB, MODEL, ["samples"], "all")["samples"]
    assert TRAIN not in sets(everything)
    other = measure_split(JOB, FITTED, ["samples"], data=made_by(MODEL, 200))["samples"]
    assert TRAIN in sets(other)
    assert other.figures["n"] == 200


def test_components_are_not_fitted_to_the_training_rows_that_are_compared() -> None:
    noise = torch.randn(700, 400, generator=torch.Generator().manual_seed(1))
    job = prepare(resolve({**SMALL, "scaling": "none", "test": 0.2}), load(noise.numpy(), name="noise"))
    found = sets(measured(job.build().model, job))[TRAIN]
    # Rows that components were fitted to vary along them more than others do: a distance of 19, none covered.
    assert found["frechet"] < 10
    assert found["coverage"] > 0.9


def test_features_of_a_file_are_those_that_are_compared(tmp_path: Path) -> None:
    file = tmp_path / "first.py"
    file.write_text("def features(x):\n    return x[:, :1]\n")
    found = measured(MODEL, name=f"samples:features={file},rows=100")
    x = JOB.data.x
    train, test = (
        x[rows[torch.linspace(0, len(rows) - 1, 100).round().long()], 0] for rows in (JOB.split.train, JOB.split.test)
    )
    expected = (train.mean() - test.mean()) ** 2 + (train.std() - test.std()) ** 2
    assert sets(found)[TRAIN]["frechet"] == pytest.approx(float(expected), rel=1e-3)
    assert found.figures["features"]["file"] == str(file)
    assert len(found.charts) == 1  # no components to draw
    assert "not with FID and KID figures of papers" in found.notes[0]


BY_KIND = {case.data: case for case in CASES if set(case.settings) <= {"likelihood"}}
KEEP = """
from pathlib import Path
import numpy as np

def features(x):
    folder = Path(__file__).parent
    np.save(folder / f"{len(list(folder.iterdir())):03d}.npy", x.numpy())
    return x.flatten(1)[:, :2]
"""


@pytest.mark.parametrize("kind", sorted(BY_KIND))
def test_every_set_is_of_the_kind_of_the_data(kind: str, tmp_path: Path) -> None:
    case = BY_KIND[kind]
    (tmp_path / "keep.py").write_text(KEEP)
    found = measure_split(case.job, case.objective().model, [f"samples:features={tmp_path / 'keep.py'}"], "all")
    seen = [torch.from_numpy(np.load(file)) for file in sorted(tmp_path.glob("*.npy"))]
    spec = case.job.spec
    for name, x in zip(["rows", *sets(next(iter(found.values())))], seen, strict=True):
        assert x.shape == (60, *spec.event_shape)
        assert name == MEANS or is_legal(x, spec.kind, spec.levels, spec.columns)
    assert (MEANS in sets(next(iter(found.values())))) is (kind not in {"categorical", "ordinal", "mixed"})


def test_what_is_found_is_plain_json() -> None:
    text = json.dumps(measured(MODEL).as_json(), allow_nan=False)
    assert len(text) < 50_000


def test_progress_is_told_of_every_row_once() -> None:
    told: list[int] = []
    Samples()(Subject(FITTED, JOB.data, JOB.split.test, "test", TRAINING, progress=told.append))
    assert sum(told) == len(JOB.split.test)
    assert len(told) == 4


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="samples needs 1 neighbour and 50 rows or more, but 5 and 3 were given"):
        Samples(rows=3)
    with pytest.raises(DataError, match="for which 12 are too few"):
        Samples()(Subject(FITTED, JOB.data, torch.arange(12), "some", TRAINING))
    with pytest.raises(DataError, match="60 rows have no 60 neighbours"):
        Samples(neighbours=60)(Subject(FITTED, JOB.data, torch.arange(60), "some", TRAINING))
    with pytest.raises(ConfigError, match=r"cannot read the plugin gone\.py"):
        measured(MODEL, name="samples:features=gone.py")


def test_draws_that_are_not_finite_are_left_out_with_a_word() -> None:
    wrong = copy.deepcopy(MODEL)
    layer = wrong.get_submodule("likelihood.network.layer")
    with torch.no_grad():
        layer.weight[0, 0] = 3e38  # overflows for a z above 1 or so
    found = measured(wrong)
    assert any("draws of the model are not finite and left out" in note for note in found.notes)
    assert MEANS not in sets(found)
