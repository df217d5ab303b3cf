"""Ranks of values among draws of x: uniform where the model is right, whatever the likelihood; by closed form else."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from scipy.stats import norm

from linear_gaussian import at_the_optimum, learned_variance
from nelbo.data import Data
from nelbo.errors import ConfigError, DataError
from nelbo.evaluate.annealing import simulate
from nelbo.evaluate.measure import Finding, Subject, measure_split
from nelbo.evaluate.measures.pit import Pit, cell_names
from nelbo.models.latent import LatentVariableModel
from nelbo.runs import Fitted
from nelbo.settings import resolve
from nelbo.train.job import prepare
from zoo import CASES, SMALL, Case, rows_of

JOB = prepare(resolve({**SMALL, "scaling": "none", "network": "linear"}), rows_of("real"))  # six columns


def linear(weight: float = 1.0) -> LatentVariableModel:
    """A linear model of six columns whose q is its posterior, in single precision."""
    axes = torch.linalg.qr(torch.randn(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    rows = torch.zeros(1, 6, dtype=torch.float64)
    model: LatentVariableModel = at_the_optimum(rows, torch.arange(6.0).double(), weight * axes, 0.25).model
    return model.float().eval()


def made_by(model: LatentVariableModel, n: int = 1_000) -> Data:
    """Rows that a model makes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(54_321)  # none that a measure draws with
        p = model.prior_of(None)
        return replace(JOB.data, x=model.decode(p.sample((n,))).sample())


def measured(model: LatentVariableModel, data: Data, latents: str) -> Finding:
    name = f"pit:latents={latents}"
    return measure_split(JOB, model, [name], data=data)[name]


def by_chance(figures: Mapping[str, Any]) -> bool:
    """Whether no column is further off than chance has it once in a thousand tables."""
    return min(cell["p"] for cell in figures["cells"].values()) > 1e-3


def word(found: Finding) -> str:
    return str(found.rows[0][-1])


@pytest.mark.parametrize("latents", ["posterior", "prior"])
def test_outputs_of_the_model_that_made_the_rows_are_as_expected(latents: str) -> None:
    model = linear()
    found = measured(model, made_by(model), latents).figures
    assert by_chance(found)
    assert found["all"]["distance"] < found["all"]["threshold"] < 0.06
    assert found["all"]["standard_error"] < 0.02


def test_averaged_over_the_posterior_ranks_gather_in_the_middle_even_where_all_is_right() -> None:
    model = linear(3.0)
    found = measured(model, made_by(model), "mixture")
    assert word(found) == "too wide"
    assert "even where everything is right" in found.notes[0]


def test_a_mixture_over_the_posterior_has_the_closed_form_of_a_gaussian() -> None:
    model = linear(1.0)
    found = measured(model, made_by(model, 4_000), "mixture").figures["cells"]
    # Draws are around the mean of q's reconstruction with variance s2 + w2 v; x is off that mean by the residual.
    weight = model.get_submodule("likelihood.network.layer").weight.detach().double()
    v = 0.25 / (1 + 0.25)  # of each latent, given x
    predictive = (0.25 + v * weight.square().sum(1)).sqrt()
    # The residual is (I - W W' / (1 + s2)) x with x ~ N(0, W W' + s2 I).
    shrunk = torch.eye(6, dtype=torch.float64) - weight @ weight.T / 1.25
    residual = shrunk @ (weight @ weight.T + 0.25 * torch.eye(6, dtype=torch.float64)) @ shrunk.T
    reach = norm.isf(0.05) * (predictive / residual.diagonal().sqrt())
    for place in range(6):
        expected = 1 - 2 * norm.sf(float(reach[place]))
        assert found[f"column{place + 1}"]["covered"]["90 %"] == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(("factor", "name"), [(0.5, "too narrow"), (2.0, "too wide")])
def test_outputs_of_another_width_cover_as_the_normal_distribution_says(factor: float, name: str) -> None:
    model = linear(0.0)  # nothing is in z
    data = made_by(model)
    wrong = copy.deepcopy(model)
    raw = learned_variance(wrong)
    raw.set(raw() + 2 * torch.tensor(factor).log())  # the raw value is the log-variance, far from its floor
    found = measured(wrong, data, "posterior")
    assert word(found) == name
    assert found.figures["all"]["covered"]["90 %"] == pytest.approx(1 - 2 * norm.sf(norm.isf(0.05) * factor), abs=0.025)


def test_a_shifted_column_is_found_and_named() -> None:
    model = linear()
    data = made_by(model)
    data.x[:, 4] += 1.0
    found = measured(model, data, "prior")
    assert found.rows[1][0] == "column5"
    assert found.rows[1][-1] == "too low"
    assert found.figures["cells"].pop("column5")["p"] < 1e-9
    assert by_chance(found.figures)


LITTLE = "pit:latents=prior,draws=19"
ONE_EACH = {case.settings["likelihood"]: case for case in CASES if set(case.settings) == {"likelihood"}}


@pytest.mark.parametrize(
    "case", [c for c in ONE_EACH.values() if ":" not in c.settings["likelihood"]], ids=lambda c: c.name
)
def test_every_likelihood_ranks_its_own_draws_as_expected(case: Case) -> None:
    model = cast("LatentVariableModel", case.objective().model)
    batch = next(case.job.batches("train", batch_size=300, rows=torch.arange(60).repeat(5)).fixed())
    seed = zlib.crc32(case.name.encode())  # noise of its own
    _, x = simulate(model, batch, seed)
    data = replace(case.job.data, x=case.job.transform.inverse(x), label=None)
    found = measure_split(case.job, model, [LITTLE], data=data, seed=seed + 1)[LITTLE].figures
    assert found["all"]["distance"] < 1.5 * found["all"]["threshold"]
    assert by_chance(found)


def test_cells_of_images_are_named_by_their_place() -> None:
    names = cell_names(rows_of("bytes").spec)
    assert len(set(names)) == 3 * 9 * 13
    assert names[0] == "row 1, column 1, channel 1"
    assert names[-1] == "row 9, column 13, channel 3"
    assert cell_names(rows_of("levels").spec)[9] == "row 2, column 2"
    assert cell_names(rows_of("real").spec)[:2] == ["column1", "column2"]


def test_few_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="pit needs 1 draw and 50 rows or more"):
        Pit(draws=0)
    with pytest.raises(DataError, match="for which 20 are too few"):
        Pit()(Subject(Fitted.of(JOB, linear()), JOB.data, torch.arange(20), "some"))
    with pytest.raises(ConfigError, match="did you mean 'posterior'"):
        measure_split(JOB, linear(), ["pit:latents=posteriors"], "all")
