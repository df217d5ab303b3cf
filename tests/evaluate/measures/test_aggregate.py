"""The aggregate posterior of linear Gaussian encoders, by quadrature of a few rows, and as a user meets it."""

from __future__ import annotations

import inspect
import math
from typing import cast

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from nelbo.core import Batch, Posterior
from nelbo.errors import CompositionError, ConfigError, DataError
from nelbo.evaluate.measure import Finding, measure_split
from nelbo.evaluate.measures import aggregate
from nelbo.evaluate.measures.aggregate import Aggregate, RateParts, aggregate_posterior, joined
from nelbo.likelihoods import GaussianLikelihood
from nelbo.models.latent import LatentVariableModel
from nelbo.networks import Linear
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import StandardNormalPrior
from nelbo.registry import registered
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare
from zoo import CASES, SMALL, Case, rows_of

INFORMATION, MARGINAL = "mutual_information", "marginal_kl"


def encoder(weight: Tensor, variance: Tensor) -> LatentVariableModel:
    """z given x ~ N(A x, diag(v)), of A [D, E] and v [D]; the decoder is not read."""
    latent, dims = weight.shape
    model = LatentVariableModel(
        StandardNormalPrior(latent),
        GaussianPosterior(Linear(dims, 2 * latent), latent, -30.0),
        GaussianLikelihood(Linear(latent, dims), (dims,)),
    ).double()
    layer = model.get_submodule("posterior.network.layer")
    with torch.no_grad():
        cast("Tensor", layer.weight).copy_(torch.cat([weight, torch.zeros_like(weight)]))
        cast("Tensor", layer.bias).copy_(torch.cat([torch.zeros(latent).double(), variance.log()]))
    return model


def scored(model: LatentVariableModel, x: Tensor, rows: int = 1_000, draws: int = 10, size: int = 500) -> Aggregate:
    torch.manual_seed(0)
    return joined(list(aggregate_posterior(model, map(Batch, x.split(size)), rows, draws)))


def means(found: Aggregate) -> dict[str, float]:
    return {name: float(each.mean()) for name, each in found.terms().items()}


WEIGHT = torch.tensor([[1.0, 0.4, 0.0], [0.5, -1.2, 0.3]], dtype=torch.float64)
VARIANCE = torch.tensor([0.3, 0.6], dtype=torch.float64)


def test_many_gaussian_rows_have_the_closed_forms_of_a_gaussian() -> None:
    """x ~ N(0, I): z ~ N(0, S) with S = A A' + diag(v), I(x; z) = log det(S) / 2 - log det(diag(v)) / 2."""
    x = torch.randn(3_000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = scored(encoder(WEIGHT, VARIANCE), x, rows=3_000, draws=4)
    covariance = WEIGHT @ WEIGHT.T + torch.diag(VARIANCE)
    zeros, eye = torch.zeros(2).double(), torch.eye(2).double()
    correlation = 0.5 * float(covariance.diagonal().log().sum() - torch.logdet(covariance))
    exact = {
        INFORMATION: 0.5 * float(torch.logdet(covariance) - VARIANCE.log().sum()),
        MARGINAL: float(kl_divergence(MultivariateNormal(zeros, covariance), MultivariateNormal(zeros, eye))),
        "total_correlation": correlation,
    }
    exact["rate"] = exact[INFORMATION] + exact[MARGINAL]
    exact["dimension_wise_kl"] = exact[MARGINAL] - correlation
    for name, each in found.terms().items():
        error = float(each.mean(0).std()) / math.sqrt(3_000)
        assert abs(float(each.mean()) - exact[name]) < 4 * error + 0.01, name
        assert error < 0.04, "the test has no power"
    each = stats.norm(0, covariance.diagonal().sqrt().numpy())
    by_hand = 0.5 * (each.var() - 1) - np.log(each.std())
    np.testing.assert_allclose(found.per_latent()[MARGINAL], by_hand, atol=0.05)
    information = np.log(each.std()) - 0.5 * VARIANCE.log().numpy()
    np.testing.assert_allclose(found.per_latent()[INFORMATION], information, atol=0.05)


def test_few_rows_are_below_and_without_the_own_row_above_the_information_of_all() -> None:
    """In expectation over sets of rows; Poole et al. (2019)."""
    generator = torch.Generator().manual_seed(1)
    model = encoder(WEIGHT, VARIANCE)
    covariance = WEIGHT @ WEIGHT.T + torch.diag(VARIANCE)
    exact = 0.5 * float(torch.logdet(covariance) - VARIANCE.log().sum())
    below, above = [], []
    for _ in range(60):
        found = scored(model, torch.randn(8, 3, dtype=torch.float64, generator=generator), draws=20)
        below.append(means(found)[INFORMATION])
        above.append(float((found.log_q - found.log_others).mean()))
    assert np.mean(below) < exact - 4 * np.std(below) / math.sqrt(60)
    assert np.mean(above) > exact + 2 * np.std(above) / math.sqrt(60)


def test_the_information_of_three_rows_is_that_of_quadrature() -> None:
    x = torch.tensor([[-1.0], [0.2], [1.5]], dtype=torch.float64)
    model = encoder(torch.ones(1, 1).double(), torch.tensor([0.4], dtype=torch.float64))
    parts = [stats.norm(float(mean), math.sqrt(0.4)) for mean in x]

    def mixture(z: float) -> float:
        return float(np.mean([part.pdf(z) for part in parts]))

    information = np.mean(
        [integrate.quad(lambda z, p=part: p.pdf(z) * (p.logpdf(z) - np.log(mixture(z))), -8, 8)[0] for part in parts]
    )
    marginal = integrate.quad(lambda z: mixture(z) * (np.log(mixture(z)) - stats.norm.logpdf(z)), -8, 8)[0]
    found = scored(model, x, draws=40_000)
    assert means(found)[INFORMATION] == pytest.approx(information, abs=0.01)
    assert means(found)[MARGINAL] == pytest.approx(marginal, abs=0.01)
    assert means(found)["total_correlation"] == pytest.approx(0, abs=1e-9)  # of one latent


def test_rows_far_apart_have_the_logarithm_of_their_number_and_equal_rows_nothing() -> None:
    model = encoder(torch.ones(1, 1).double(), torch.tensor([1e-4], dtype=torch.float64))
    apart = scored(model, torch.arange(50, dtype=torch.float64).unsqueeze(1))
    assert means(apart)[INFORMATION] == pytest.approx(math.log(50), abs=1e-9)
    equal = scored(model, torch.ones(50, 1, dtype=torch.float64))
    assert means(equal)[INFORMATION] == pytest.approx(0, abs=1e-9)
    assert float((equal.log_q - equal.log_others).mean()) == pytest.approx(0, abs=1e-9)


def test_all_rows_are_in_the_sum_whatever_is_scored_and_however_it_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the plain sum over all pairs."""
    x = torch.randn(23, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    model = encoder(WEIGHT, VARIANCE)
    whole = scored(model, x, draws=2)
    monkeypatch.setattr(aggregate, "NUMBERS", 100)
    pieces = list(aggregate_posterior(model, map(Batch, x.split(7)), 5, 2))
    assert len(pieces) > 3
    some = joined(pieces)
    assert some.log_q.shape == (2, 5)
    assert some.n == whole.n == 23
    torch.manual_seed(0)
    some = joined(list(aggregate_posterior(model, [Batch(x)], 23, 2)))
    torch.testing.assert_close(some.log_mixture, whole.log_mixture, rtol=0, atol=1e-12)
    torch.manual_seed(0)
    z = (x @ WEIGHT.T) + VARIANCE.sqrt() * torch.randn(2, 23, 2, dtype=torch.float64)
    pairs = stats.norm.logpdf(z.unsqueeze(2), (x @ WEIGHT.T).numpy(), VARIANCE.sqrt().numpy())
    torch.testing.assert_close(whole.log_mixture, torch.from_numpy(np.log(np.exp(pairs.sum(-1)).mean(2))))
    assert whole.log_marginals is not None
    torch.testing.assert_close(whole.log_marginals, torch.from_numpy(np.log(np.exp(pairs).mean(2))))


# Every posterior, and as a user meets it.


def one_of_each() -> dict[str, Case]:
    """For every posterior with a density, the first case of the zoo that has it without a context."""
    found: dict[str, Case] = {}
    for case in CASES:
        if "condition" not in case.settings:
            found.setdefault(str(case.settings.get("posterior", "gaussian")).partition(":")[0], case)
    return {name: found[name] for name, cls in registered("posterior") if cast("type[Posterior]", cls).has_density}


@pytest.mark.parametrize("name", one_of_each())
def test_the_rate_is_the_sum_of_its_parts_for_every_posterior(name: str) -> None:
    case = one_of_each()[name]
    model = cast("LatentVariableModel", case.objective().get_submodule("model"))
    found = joined(list(aggregate_posterior(model, [case.batch], 20, 3)))
    terms = found.terms()
    torch.testing.assert_close(terms["rate"], terms[INFORMATION] + terms[MARGINAL])
    assert float(terms[INFORMATION].max()) <= math.log(found.n) + 1e-9
    assert float(terms[INFORMATION].mean()) > -0.1
    assert bool(torch.isfinite(terms["rate"]).all())
    if "dimension_wise_kl" in terms:
        torch.testing.assert_close(terms[MARGINAL], terms["total_correlation"] + terms["dimension_wise_kl"])


def trained(data: str = "real", **settings: object) -> tuple[Job, LatentVariableModel]:
    job = prepare(resolve({**SMALL, **settings}), rows_of(data, "condition" in settings))
    return job, cast("LatentVariableModel", job.build().model).eval()


def found_by(text: str, **settings: object) -> Finding:
    return measure_split(*trained(**settings), [text])[text]


def test_its_figures_add_up_and_come_out_the_same_again() -> None:
    finding = found_by("aggregate")
    figures = finding.figures
    assert figures["n"] == figures["rows"] == 6
    assert figures["most_information"] == pytest.approx(math.log(6))
    assert figures["rate"] == pytest.approx(figures[INFORMATION] + figures[MARGINAL])
    assert figures["dimension_wise_kl"] == pytest.approx(sum(figures["per_latent"][MARGINAL]))
    assert len(finding.rows) == 5
    assert len(finding.charts) == 2
    assert found_by("aggregate").figures == figures


def test_parts_that_do_not_exist_are_left_out_and_said() -> None:
    mixed = found_by("aggregate", prior="mixture:components=3")
    assert "total_correlation" in mixed.figures
    assert "dimension_wise_kl" not in mixed.figures
    assert list(mixed.figures["per_latent"]) == [INFORMATION]
    assert any("this prior is no product" in note for note in mixed.notes)
    full = found_by("aggregate", posterior="full-gaussian")
    assert "total_correlation" not in full.figures
    assert any("no total correlation" in note for note in full.notes)


def test_one_draw_of_one_row_leaves_errors_open() -> None:
    figures = found_by("aggregate:rows=1,draws=1").figures
    assert figures["n"] == 6
    assert figures["rows"] == 1
    assert set(figures["standard_error"].values()) == set(figures["monte_carlo_error"].values()) == {None}


def test_progress_ends_at_all_rows() -> None:
    job, model = trained()
    told: list[int] = []
    measure_split(job, model, ["aggregate:rows=4"], progress=told.append)
    assert sum(told) == len(job.split.test)


def test_monte_carlo_errors_are_those_of_other_seeds() -> None:
    x = torch.randn(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    model = encoder(WEIGHT, VARIANCE)
    torch.manual_seed(1)
    runs = [joined(list(aggregate_posterior(model, [Batch(x)], 30, 5))) for _ in range(40)]
    for name in (INFORMATION, MARGINAL):
        values = torch.stack([run.terms()[name].mean() for run in runs])
        claimed = np.mean([aggregate.of_draws(run.terms()[name]) for run in runs])
        assert 0.7 < float(values.std()) / claimed < 1.4, name


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        ("aggregate", {"posterior": "delta", "objective": "autoencoder"}, "a point without a density"),
        ("aggregate", {"condition": "label"}, "train without --condition"),
        ("aggregate:rows=0", {}, "1 row and 1 draw or more"),
    ],
)
def test_what_it_cannot_do_is_refused(text: str, settings: dict[str, str], words: str) -> None:
    with pytest.raises((CompositionError, ConfigError), match=words):
        found_by(text, **settings)


def test_a_single_row_is_refused() -> None:
    with pytest.raises(DataError, match="one of several rows"):
        scored(encoder(WEIGHT, VARIANCE), torch.zeros(1, 3).double())


def test_the_options_are_those_of_the_docstring() -> None:
    words = inspect.getdoc(RateParts) or ""
    assert all(name in words for name in inspect.signature(RateParts).parameters)
