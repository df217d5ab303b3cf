"""Ranks of the true z on linear Gaussian models, whose posterior is known: q right, narrow, wide, off, blind to x."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from linear_gaussian import LinearGaussian, at_the_optimum
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.measure import Finding, Subject, measure_split
from nelbo.evaluate.measures.calibration import FIT, Calibration
from nelbo.evaluate.ranks import AS_EXPECTED
from nelbo.runs import Fitted
from nelbo.settings import resolve
from nelbo.train.job import prepare
from zoo import CASES, SMALL, Case, rows_of

JOB = prepare(resolve({**SMALL, "scaling": "none", "network": "linear"}), rows_of("real"))  # six columns
DRAWS = Calibration(simulations=600)
FEW = "calibration:simulations=400,draws=19"
Raw = list[float]


def exact() -> LinearGaussian:
    """A linear model of six columns and three latents whose q is its posterior."""
    axes = torch.linalg.qr(torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    weight = axes * torch.tensor([2.0, 1.0, 0.5], dtype=torch.float64)
    return at_the_optimum(torch.zeros(1, 6, dtype=torch.float64), torch.zeros(6, dtype=torch.float64), weight, 0.25)


def measured(case: LinearGaussian) -> Finding:
    return DRAWS(Subject(Fitted.of(JOB, case.model), JOB.data, torch.arange(60), "all"))


def by_name(found: Finding) -> Mapping[str, Mapping[str, Any]]:
    quantities: Mapping[str, Mapping[str, Any]] = found.figures["quantities"]
    return quantities


def words(found: Finding) -> dict[str, str]:
    return {str(row[0]): str(row[-1]) for row in found.rows}


def biased(by: Tensor) -> LinearGaussian:
    """The model with means [3] and raw log-variances [3] of q moved."""
    case = exact()
    with torch.no_grad():
        case.encoder.bias += by
    return case


def test_an_exact_posterior_is_as_expected() -> None:
    found = measured(exact())
    assert min(figures["p"] for figures in by_name(found).values()) > 1e-3
    assert found.figures["n"] == 600
    for figures in by_name(found).values():
        assert figures["covered"]["90 %"] == pytest.approx(0.9, abs=0.045)
        assert figures["covered"]["50 %"] == pytest.approx(0.5, abs=0.075)


@pytest.mark.parametrize(("log_variance", "name"), [(-1.4, "too narrow"), (1.0, "too wide")])
def test_intervals_of_another_width_cover_as_the_normal_distribution_says(log_variance: float, name: str) -> None:
    found = measured(biased(torch.tensor([0.0, 0, 0, *[log_variance] * 3], dtype=torch.float64)))
    reach = norm.isf(0.05) * torch.tensor(0.5 * log_variance).exp().item()
    for latent in ("latent 1", "latent 2", "latent 3"):
        assert name in words(found)[latent]
        assert by_name(found)[latent]["covered"]["90 %"] == pytest.approx(1 - 2 * norm.sf(reach), abs=0.05)


def test_a_shift_is_named_by_its_side() -> None:
    found = words(measured(biased(torch.tensor([0.2, -0.4, 0.0, 0, 0, 0], dtype=torch.float64))))
    assert (found["latent 1"], found["latent 2"], found["latent 3"]) == ("too high", "too low", AS_EXPECTED)


def test_a_q_that_ignores_x_passes_every_latent_and_is_found_by_its_fit() -> None:
    case = exact()
    with torch.no_grad():
        case.encoder.weight.zero_()
        case.encoder.bias.copy_(torch.zeros(6))  # q(z given x) = p(z)
    found = words(measured(case))
    assert found.pop(FIT) == "worse at x than the true z"
    assert set(found.values()) == {AS_EXPECTED}


def named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


@pytest.mark.parametrize(
    ("pair", "raw", "wrong"),
    [("one-hot-straight-through-categorical", [0.0, 0, 0], [3.0, 0, 0]),
     ("hypersphere-von-mises-fisher", [1.0, 0, 0, -30], [1.0, 0, 0, 3])],
)  # fmt: skip
def test_codes_that_the_decoder_ignores_have_the_prior_for_posterior(pair: str, raw: Raw, wrong: Raw) -> None:
    case = named(pair)
    model = case.objective().model
    with torch.no_grad():
        for part in ("posterior", "likelihood"):
            for weight in model.get_submodule(f"{part}.network").parameters():
                weight.zero_()
    last = list(model.get_submodule("posterior.network").parameters())[-1]  # what q reads, whatever x
    for outputs, is_right in ((raw, True), (wrong, False)):
        with torch.no_grad():
            last.copy_(torch.tensor(outputs))
        found = words(measure_split(case.job, model, [FEW], "all")[FEW])
        found.pop(FIT)  # all z fit alike: the order is that of rounding
        assert (set(found.values()) == {AS_EXPECTED}) is is_right


def test_a_model_that_reads_labels_is_given_those_of_the_rows() -> None:
    case = named("label-conditional-mixed")
    assert measure_split(case.job, case.objective().model, [FEW], "all")[FEW].figures["n"] == 400


def test_progress_is_told_of_every_row_once() -> None:
    told: list[int] = []
    subject = Subject(Fitted.of(JOB, exact().model), JOB.data, torch.arange(41), "some", progress=told.append)
    Calibration(simulations=100, draws=3)(subject)
    assert sum(told) == 41


def test_an_autoencoder_is_refused() -> None:
    settings = {**SMALL, "posterior": "delta", "objective": "autoencoder"}
    job = prepare(resolve(settings), rows_of("real"))
    with pytest.raises(CompositionError, match="this q is a point; train with --posterior gaussian"):
        measure_split(job, job.build().model, ["calibration"], "all")


def test_draws_that_are_not_finite_are_left_out_and_refused_where_nothing_is_left() -> None:
    case = exact()
    with torch.no_grad():
        case.encoder.weight[0, 0] = torch.inf
    with pytest.raises(CompositionError, match="of 600 rows that the model made, 600 or their codes are not finite"):
        measured(case)


def test_few_simulations_are_refused() -> None:
    with pytest.raises(ConfigError, match="calibration needs 50 simulations and 1 draw or more, but 10 and 99"):
        Calibration(simulations=10)
