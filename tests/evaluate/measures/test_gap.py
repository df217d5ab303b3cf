"""The inference gap in two, where all three figures have closed forms, and as a user meets it."""

from __future__ import annotations

import inspect
from typing import cast

import pytest
import torch

from linear_gaussian import at_the_optimum, random_linear_gaussian
from nelbo.core import Batch
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.annealing import Annealing, annealed_log_likelihood
from nelbo.evaluate.best_posterior import Best, Search, best_posteriors
from nelbo.evaluate.measure import Finding, measure_split
from nelbo.evaluate.measures.gap import Gap, gaps
from nelbo.models.latent import LatentVariableModel
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare
from zoo import SMALL, rows_of

QUICK = "steps=40,pairs=2,samples=100"


def trained(**settings: object) -> tuple[Job, LatentVariableModel]:
    job = prepare(resolve({**SMALL, **settings}), rows_of("real"))
    return job, cast("LatentVariableModel", job.build().model).eval()


def found(text: str, split: str = "test", **settings: object) -> Finding:
    return measure_split(*trained(**settings), [text], split)[text]


@pytest.mark.parametrize("annealed", [False, True])
def test_both_gaps_are_those_of_the_linear_model(annealed: bool) -> None:
    case = random_linear_gaussian(1, latent=3)
    precision = case.posterior().precision_matrix[0]
    approximation = 0.5 * float(precision.diagonal().log().sum() - torch.logdet(precision))
    evidence = float(case.evidence().mean())
    best = best_posteriors(case.model, [Batch(case.x)], Search(), 2_000)
    chains = Annealing(chains=50, temperatures=100, leapfrog=4, start="prior") if annealed else None
    by_chains = annealed_log_likelihood(case.model, [Batch(case.x)], chains) if annealed else None
    gauged = gaps(best, by_chains)
    exact = {
        "log_likelihood": evidence,
        "best_bound": evidence - approximation,
        "bound": float(case.elbo().detach().mean()),
        "approximation_gap": approximation,
        "amortisation_gap": float(case.gap().mean()) - approximation,
        "inference_gap": float(case.gap().mean()),
    }
    assert approximation > 0.05, "the test has no power"
    assert exact["amortisation_gap"] > 1, "the test has no power"
    for name, value in exact.items():
        error = gauged[name].monte_carlo_error
        assert error is not None
        assert abs(gauged[name].value - value) < 4 * error + 0.01, name


def test_monte_carlo_errors_are_those_of_other_draws() -> None:
    """Log weights whose law is known, drawn two hundred times; those of q and q* from the same noise."""
    generator = torch.Generator().manual_seed(0)
    runs = []
    for _ in range(200):
        noise = torch.randn(400, 5, generator=generator, dtype=torch.float64)
        best, encoder = 0.7 * noise, 1.5 * noise - 1
        runs.append(gaps(Best(torch.zeros(2, 5), (0, 1), best, encoder, False)))
    for name in runs[0]:
        values = torch.tensor([run[name].value for run in runs], dtype=torch.float64)
        claimed = torch.tensor([run[name].monte_carlo_error or 0.0 for run in runs]).square().mean().sqrt()
        assert 0.85 < float(values.std() / claimed) < 1.15, name


def test_an_exact_encoder_has_neither_gap() -> None:
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    case = at_the_optimum(x, torch.zeros(4).double(), 1.5 * torch.linalg.qr(x[:4])[0][:, :2], 0.5)
    gauged = gaps(best_posteriors(case.model, [Batch(x)], Search(), 1_000))
    for name in ("approximation_gap", "amortisation_gap", "inference_gap"):
        assert abs(gauged[name].value) < 0.01  # what the noise of its draws lets the search prefer
    assert abs(gauged["log_likelihood"].value - float(case.evidence().mean())) < 0.01


def test_the_figures_add_up_and_do_not_depend_on_what_else_is_measured() -> None:
    one = found(f"gap:{QUICK}").figures
    assert one["inference_gap"] == pytest.approx(one["approximation_gap"] + one["amortisation_gap"])
    assert one["log_likelihood"] - one["bound"] == pytest.approx(one["inference_gap"])
    assert one["n"] == 6
    assert found(f"gap:{QUICK}").figures == one


def test_a_search_that_is_too_short_says_so_and_a_long_one_that_it_has_converged() -> None:
    assert any("has not converged, take more (gap:steps=16)" in note for note in found("gap:steps=8").notes)
    assert any("has converged" in note for note in found("gap:steps=400,samples=100").notes)


def test_what_all_rows_share_is_said() -> None:
    words = "which all rows share"
    assert any(words in note for note in found(f"gap:{QUICK}", posterior="iaf:steps=1,hidden=8").notes)
    assert not any(words in note for note in found(f"gap:{QUICK}").notes)


def test_one_row_has_no_standard_error() -> None:
    figures = found(f"gap:rows=1,{QUICK}").figures
    assert figures["n"] == 1
    assert set(figures["standard_error"].values()) == {None}
    assert figures["monte_carlo_error"]["bound"] > 0


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("gap", {"posterior": "delta", "objective": "autoencoder"}, "a point without a density"),
        (
            "gap:estimator=ais",
            {"prior": "stick-breaking", "posterior": "kumaraswamy"},
            "--measure gap:estimator=iw",
        ),
        ("gap:estimator=bdmc", {}, "unknown estimator of measure/gap: 'bdmc'"),
        ("gap:rows=0", {}, "1 row and 2 samples"),
        ("gap:lr=0", {}, "a size above 0"),
        ("gap:chains=0", {}, "1 of its chains"),
    ],
)
def test_what_it_cannot_do_is_refused(text: str, settings: dict[str, str], words: str) -> None:
    with pytest.raises((CompositionError, ConfigError), match=words):
        found(text, **settings)


def test_annealing_serves_as_well() -> None:
    figures = found("gap:estimator=ais,rows=3,chains=4,temperatures=5,steps=8,samples=50").figures
    assert figures["estimator"] == "ais"
    assert figures["n"] == 3


def test_progress_ends_at_all_rows() -> None:
    job, model = trained()
    told: list[int] = []
    measure_split(job, model, [f"gap:rows=2,{QUICK}"], progress=told.append)
    assert sum(told) == len(job.split.test)


def test_the_options_are_those_of_the_docstring() -> None:
    with pytest.raises(ConfigError, match="unknown option of measure/gap"):
        found("gap:draws=3")
    words = inspect.getdoc(Gap) or ""
    assert all(name in words for name in inspect.signature(Gap).parameters)
