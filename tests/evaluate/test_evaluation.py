"""Evaluations of whole jobs: in the units of the data, and what is refused before the work."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from nelbo.data import evenly
from nelbo.evaluate import Annealing, anneal, evaluate_split, evaluation
from nelbo.evaluate.annealing import simulate
from nelbo.models import LatentVariableModel
from nelbo.runs import Fitted
from nelbo.settings import resolve
from nelbo.train import Job, prepare
from zoo import SMALL, rows_of

HOW = Annealing(chains=100, temperatures=60, leapfrog=4, start="prior")
NEAR = 0.25  # nats


def linear(transform: str) -> tuple[Job, LatentVariableModel]:
    """A linear Gaussian model of transformed positive data, its decoder away from where it starts."""
    settings = {"source": "positive", "network": "linear", "transform": transform, "latent": 2, "epochs": 1}
    job = prepare(resolve(settings), rows_of("positive"))
    model = job.build().model
    assert isinstance(model, LatentVariableModel)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.get_submodule("likelihood.network").parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return job, model.eval()


def evidence(model: LatentVariableModel, y: Tensor) -> Tensor:
    """log p(y) by SciPy from the decoder's moments at z = 0 and at the unit vectors."""
    with torch.no_grad():
        px = model.decode(torch.cat([torch.zeros(1, 2), torch.eye(2)]))
    mean, weight = px.mean[0], (px.mean[1:] - px.mean[0]).T
    covariance = weight @ weight.T + torch.diag(px.variance[0])
    return torch.from_numpy(multivariate_normal(mean.double().numpy(), covariance.double().numpy()).logpdf(y.numpy()))


@pytest.mark.parametrize("transform", ["log", "density"])
def test_what_the_model_makes_is_bracketed_in_the_units_of_the_data(transform: str) -> None:
    job, model = linear(transform)
    _, found = anneal(Fitted.of(job, model), job.data, evenly(job.rows("test"), 6), HOW, bracket=True)
    (batch,) = job.in_order(job.split.test).fixed()
    _, y = simulate(model, batch, HOW.seed)
    # With y = log x, p(x) = p(y) dy/dx = p(y) / x.
    log_jacobian = -y.double().sum(1) if transform == "log" else torch.zeros(6).double()
    assert transform == "density" or float(log_jacobian.abs().max()) > 10 * NEAR, "the test has no power"
    assert found is not None
    for bound in (found.lower, found.upper):
        torch.testing.assert_close(bound.log_likelihood, evidence(model, y) + log_jacobian, rtol=0, atol=NEAR)


def test_rows_are_annealed_in_the_units_of_the_data() -> None:
    job, model = linear("log")
    found, _ = anneal(Fitted.of(job, model), job.data, evenly(job.rows("test"), 6), HOW)
    x = job.data.x[job.split.test]
    assert found is not None
    expected = evidence(model, x.log()) - x.double().log().sum(1)
    torch.testing.assert_close(found.log_likelihood, expected, rtol=0, atol=NEAR)


def test_the_bound_on_training_rows_is_that_of_all_of_them_not_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "TRAIN_ROWS", 20)
    rows = rows_of("real")
    x = rows.x.clone()
    x[30:] += 40.0  # as in a file sorted by class, of which the second is far off
    job = prepare(resolve({**SMALL, "split": "all", "scaling": "none"}), replace(rows, x=x))
    found = evaluate_split(job, job.build().model, samples=2, with_baselines=False)
    assert found.train_bound is not None
    assert found.test_bound is not None
    assert found.train_bound == pytest.approx(found.test_bound, rel=0.1)  # the same rows, but for those between
