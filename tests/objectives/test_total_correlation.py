"""The KL taken apart: against closed forms, exact sums over the data, and the KL itself."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from torch import Tensor

from linear_gaussian import LinearGaussian, random_linear_gaussian
from nelbo.core import Batch, Terms
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives import ELBO, AnalyticKL, TotalCorrelation
from nelbo.settings import resolve
from nelbo.train import prepare
from nelbo.train.job import make_trainer
from zoo import SMALL, rows_of

NAMES = ("mutual information", "total correlation", "dimension-wise kl")
ESTIMATORS = pytest.mark.parametrize("estimator", ["stratified", "weighted"])


def taken_apart(
    case: LinearGaussian, x: Tensor, rows: int, estimator: str = "stratified", samples: int = 1
) -> tuple[Terms, Tensor]:
    """Terms of a batch, and the three values of each row, [3, B]."""
    terms = case.model.terms(Batch(x), samples)
    regulariser = TotalCorrelation(rows, estimator=estimator)  # type: ignore[arg-type]
    return terms, torch.stack([value for _, value in regulariser(terms, None).values()])


def moments(case: LinearGaussian) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and covariance of z for x ~ N(0, I), and the variances of q, which must not depend on x."""
    weight, bias = case.encoder.weight.detach().numpy(), case.encoder.bias.detach().numpy()
    latent = len(bias) // 2
    variances = case.q()[1].detach().numpy()[0]
    return bias[:latent], weight[:latent] @ weight[:latent].T + np.diag(variances), variances


def with_constant_spread(seed: int, latent: int, rows: int) -> LinearGaussian:
    """A linear encoder whose variances are the same for all x, and Gaussian rows of mean 0 and covariance I exactly."""
    case = random_linear_gaussian(seed, dims=4, latent=latent, rows=rows)
    with torch.no_grad():
        case.encoder.weight[latent:] = 0
    x = case.x - case.x.mean(0)
    factor = torch.linalg.cholesky(x.T @ x / rows)
    return LinearGaussian(case.model, torch.linalg.solve_triangular(factor, x.T, upper=False).T)


@pytest.mark.parametrize("latent", [2, 3])
def test_the_three_terms_are_those_of_a_gaussian_aggregate_posterior(latent: int) -> None:
    rows = 1500
    case = with_constant_spread(4, latent, rows)
    torch.manual_seed(0)
    _, values = taken_apart(case, case.x, rows)
    values = values.detach()
    mean, covariance, variances = moments(case)
    log_det = np.linalg.slogdet(covariance)[1]
    marginal = np.diag(covariance)
    expected = {
        "mutual information": 0.5 * (log_det - np.log(variances).sum()),
        "total correlation": 0.5 * (np.log(marginal).sum() - log_det),
        "dimension-wise kl": 0.5 * (marginal + mean**2 - 1 - np.log(marginal)).sum(),
    }
    assert expected["total correlation"] > 0.1
    for (name, closed), found in zip(expected.items(), values, strict=True):
        error = float(found.std()) / math.sqrt(rows)
        assert float(found.mean()) == pytest.approx(closed, abs=4.5 * error), name
        assert error < 0.1 * closed


@ESTIMATORS
@pytest.mark.parametrize("batch", [1, 2, 7])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_three_terms_sum_to_the_kl_of_the_draws(estimator: str, batch: int, samples: int) -> None:
    case = random_linear_gaussian(1, rows=7)
    terms, values = taken_apart(case, case.x[:batch], 100, estimator, samples)
    assert terms.log_qz is not None
    assert terms.log_pz is not None
    torch.testing.assert_close(values.sum(0), (terms.log_qz - terms.log_pz).mean(0))


@ESTIMATORS
def test_with_all_weights_1_it_is_the_elbo_with_its_gradient(estimator: str) -> None:
    case = random_linear_gaussian(2)
    parameters = list(case.model.parameters())
    regulariser = TotalCorrelation(50, 1.0, 1.0, 1.0, estimator)  # type: ignore[arg-type]
    torch.manual_seed(0)
    loss = ELBO(case.model, samples=2, regulariser=regulariser)(Batch(case.x))
    assert loss.bound is not None
    torch.testing.assert_close(loss.loss, -loss.bound.mean())
    gradients = torch.autograd.grad(loss.loss, parameters)
    torch.manual_seed(0)
    terms = case.model.terms(Batch(case.x), 2)
    for one, other in zip(gradients, torch.autograd.grad(-terms.log_weights.mean(), parameters), strict=True):
        torch.testing.assert_close(one, other)


def densities(case: LinearGaussian, z: Tensor) -> np.ndarray:
    """log q(z_d given x) of each z under each row, [B, N, D], by SciPy."""
    loc, variance = (value.detach().numpy() for value in case.q())
    return np.asarray(norm(loc, np.sqrt(variance)).logpdf(z.detach().numpy()[:, None, :]))


def test_the_whole_data_as_one_batch_give_the_aggregate_posterior_exactly() -> None:
    case = random_linear_gaussian(3, rows=9)
    terms, values = taken_apart(case, case.x, rows=9)
    cells = densities(case, terms.z[0])
    joint = logsumexp(cells.sum(-1), axis=1) - math.log(9)
    product = (logsumexp(cells, axis=1) - math.log(9)).sum(-1)
    own = np.diagonal(cells.sum(-1))
    np.testing.assert_allclose(values[0].detach(), own - joint, rtol=1e-10)
    np.testing.assert_allclose(values[1].detach(), joint - product, rtol=1e-10)


def test_the_stratified_estimate_of_q_is_unbiased_over_all_batches() -> None:
    rows, batch = 6, 3
    case = random_linear_gaussian(4, rows=rows)
    z = case.model.terms(Batch(case.x)).z[:, :1]  # of the first row
    exact = np.exp(densities(case, z[0]).sum(-1)).mean()
    found = []
    for others in itertools.combinations(range(1, rows), batch - 1):
        chosen = [0, *others]
        q = case.model.encode(Batch(case.x[chosen]))
        joint, _ = TotalCorrelation(rows)._aggregate(q, z.expand(1, batch, -1))  # type: ignore[arg-type]
        found.append(float(joint[0, 0].detach().exp()))
    assert np.mean(found) == pytest.approx(exact, rel=1e-10)
    assert np.std(found) > 0.01 * exact


def test_the_weighted_estimate_is_that_of_the_paper() -> None:
    rows, batch = 50, 5
    case = random_linear_gaussian(5, rows=batch)
    terms, values = taken_apart(case, case.x, rows, "weighted")
    cells = densities(case, terms.z[0])
    joint = logsumexp(cells.sum(-1), axis=1) - math.log(rows * batch)
    product = (logsumexp(cells, axis=1) - math.log(rows * batch)).sum(-1)
    np.testing.assert_allclose(values[1].detach(), joint - product, rtol=1e-10)


def test_weights_enter_the_loss_and_neither_the_figures_nor_the_bound() -> None:
    case = random_linear_gaussian(6)
    losses = []
    for weights in ((1.0, 1.0, 1.0), (0.5, 6.0, 2.0)):
        torch.manual_seed(0)
        losses.append(ELBO(case.model, regulariser=TotalCorrelation(50, *weights))(Batch(case.x)))
    plain, weighted = losses
    torch.testing.assert_close(weighted.bound, plain.bound)
    assert set(weighted.figures) == {*NAMES, "kl"}
    for name, weight in zip(NAMES, (0.5, 6.0, 2.0), strict=True):
        torch.testing.assert_close(weighted.figures[name], plain.parts[name].detach())
        torch.testing.assert_close(weighted.parts[name], weight * plain.parts[name])


def test_figures_of_the_biased_estimate_bear_its_name() -> None:
    case = random_linear_gaussian(6)
    loss = ELBO(case.model, regulariser=TotalCorrelation(50, estimator="weighted"))(Batch(case.x))
    assert set(loss.figures) == {*(f"{name} (weighted sampling)" for name in NAMES), "kl"}


def test_one_row_says_nothing_about_the_aggregate() -> None:
    case = random_linear_gaussian(7, rows=1)
    for rows in (1, 30):
        _, values = taken_apart(case, case.x, rows)
        torch.testing.assert_close(values[:2], torch.zeros(2, 1, dtype=torch.float64))


@pytest.mark.parametrize("posterior", ["laplace", "logistic", "student-t", "gumbel"])
def test_any_product_over_latents_will_do(posterior: str) -> None:
    job = prepare(resolve(SMALL, {"objective": "beta-tc", "posterior": posterior}), rows_of("binary"))
    phase = job.build().phases[0]
    loss = phase(next(iter(job.batches("train").fixed())))
    assert loss.bound is not None
    total = torch.stack([loss.figures[name].mean() for name in NAMES]).sum()
    torch.testing.assert_close(total, loss.figures["kl"].mean())


def test_a_warm_up_moves_all_three_weights() -> None:
    assert TotalCorrelation(9, 1.0, 4.0, 2.0).warm_up(0.5) == {"alpha": 0.5, "beta": 2.0, "gamma": 1.0}


def test_the_number_of_rows_is_that_of_the_training_rows() -> None:
    job = prepare(resolve(SMALL, {"objective": "beta-tc:beta=3"}), rows_of("binary"))
    assert job.objective_spec["regulariser"] == {"part": "regulariser/beta-tc", "rows": len(job.split.train), "beta": 3}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"objective": "beta-tc", "posterior": "full-gaussian"}, "a product over latent dimensions"),
        ({"objective": "beta-tc", "beta": 4.0}, "so --beta means nothing"),
        ({"objective": "beta-tc:estimator=strata"}, "known: stratified, weighted"),
        ({"objective": "beta-tc:rows=9"}, "unknown option of objective/beta-tc: 'rows'"),
        ({"objective": "beta-tc:alpha=-1"}, "alpha must be 0 or more"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises((CompositionError, ConfigError), match=sentence):
        make_trainer(prepare(resolve(SMALL, settings), rows_of("binary")))


def test_a_closed_form_of_the_kl_is_refused() -> None:
    with pytest.raises(CompositionError, match="leave kl=analytic out"):
        ELBO(random_linear_gaussian(0).model, kl=AnalyticKL(), regulariser=TotalCorrelation(9))
    with pytest.raises(ConfigError, match="number of training rows"):
        TotalCorrelation(0)
