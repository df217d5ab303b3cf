"""The covariance of the codes: against NumPy's, and against draws."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch

from linear_gaussian import random_linear_gaussian
from nelbo.core import Batch
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives import ELBO, InferredPriorCovariance
from nelbo.settings import resolve
from nelbo.train import prepare
from nelbo.train.job import make_trainer
from zoo import SMALL, Case, rows_of

FORMS = pytest.mark.parametrize("form", ["i", "ii"])


def penalty(covariance: np.ndarray) -> tuple[float, float]:
    """Squares off the diagonal, and of what the diagonal lacks to 1."""
    apart = covariance - np.diag(np.diag(covariance))
    return float((apart**2).sum()), float(((np.diag(covariance) - 1) ** 2).sum())


@FORMS
@pytest.mark.parametrize("latent", [2, 4])
def test_the_penalty_is_that_of_numpys_covariance(form: Literal["i", "ii"], latent: int) -> None:
    case = random_linear_gaussian(0, latent=latent, rows=30)
    loc, variance = (value.detach().numpy() for value in case.q())
    covariance = np.cov(loc.T, bias=True)
    if form == "ii":
        covariance = covariance + np.diag(variance.mean(0))
    apart, diagonal = penalty(covariance)
    torch.manual_seed(0)
    loss = ELBO(case.model, regulariser=InferredPriorCovariance(3.0, 7.0, form, 2.0))(Batch(case.x))
    assert float(loss.parts["squared covariances"].detach()) == pytest.approx(3.0 * apart)
    assert float(loss.parts["variances from 1, squared"].detach()) == pytest.approx(7.0 * diagonal)
    assert float(loss.figures["squared covariances"]) == pytest.approx(apart)
    torch.manual_seed(0)
    plain = ELBO(case.model)(Batch(case.x))
    expected = plain.parts["likelihood"].mean() + 2.0 * plain.parts["kl"].mean() + 3.0 * apart + 7.0 * diagonal
    torch.testing.assert_close(loss.loss, expected)
    torch.testing.assert_close(loss.bound, plain.bound)


@pytest.mark.parametrize("posterior", ["gaussian", "laplace", "full-gaussian", "low-rank-gaussian"])
def test_form_ii_is_the_covariance_of_the_codes(posterior: str) -> None:
    case = Case("", "binary", {"objective": "dip:form=ii", "posterior": posterior, "latent": 3})
    phase, batch = case.objective().phases[0], case.batch
    assert isinstance(phase, ELBO)
    assert isinstance(phase.regulariser, InferredPriorCovariance)
    q = phase.model.encode(batch)
    torch.manual_seed(0)
    with torch.no_grad():
        # Each row has draws of its own; a million in all.
        z = q.sample((1_000_000 // len(batch),)).flatten(0, 1).double().numpy()
        found = phase.regulariser._covariance(q).double().numpy()
    np.testing.assert_allclose(found, np.cov(z.T), atol=0.02 * found.max())


def test_codes_of_covariance_1_cost_nothing() -> None:
    case = random_linear_gaussian(0, rows=50)
    q = case.model.encode(Batch(case.x))
    centred = q.mean - q.mean.mean(0)
    factor = torch.linalg.cholesky(centred.T @ centred / 50)
    white = torch.linalg.solve_triangular(factor, centred.T, upper=False).T
    terms = case.model.terms(Batch(case.x), analytic=True)
    object.__setattr__(terms, "q", type(q)(white, torch.zeros_like(white)))  # type: ignore[call-arg]
    added = InferredPriorCovariance(beta=0.0)(terms, terms.kl.sum((0, 1)))  # type: ignore[union-attr]
    assert sum(float((weight * value).detach().sum()) for weight, value in added.values()) == pytest.approx(
        0, abs=1e-20
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"objective": "dip", "posterior": "iaf:steps=1,hidden=4"}, "no closed form"),
        ({"objective": "dip", "posterior": "cauchy", "prior": "cauchy"}, "no variance"),
        ({"objective": "dip", "posterior": "delta"}, "needs a posterior with a density"),
        ({"objective": "dip:form=iii"}, "known: i, ii"),
        ({"objective": "dip:diagonal=-1"}, "0 or more"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises((CompositionError, ConfigError), match=sentence):
        make_trainer(prepare(resolve(SMALL, settings), rows_of("binary")))


def test_a_weight_that_is_no_number_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 or more"):
        InferredPriorCovariance(math.nan)
