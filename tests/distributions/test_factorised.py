"""Products over dimensions: each term is the density of one dimension."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Distribution

from nelbo.distributions.diagonal_beta import DiagonalBeta
from nelbo.distributions.factorised import Correlated, Factorised
from nelbo.distributions.full_normal import FullNormal
from nelbo.distributions.kumaraswamy import Kumaraswamy
from nelbo.distributions.location_scale import DiagonalGumbel, DiagonalLaplace, DiagonalLogistic, DiagonalStudentT
from nelbo.distributions.low_rank_normal import LowRankNormal
from nelbo.distributions.normal import DiagonalNormal, StandardNormal
from nelbo.distributions.positive import DiagonalExponential, DiagonalGamma, DiagonalLogNormal

A, B = (torch.linspace(low, high, 6, dtype=torch.float64).view(2, 3) for low, high in ((-0.6, 0.8), (0.3, -0.4)))
a, b = A.exp().numpy(), B.exp().numpy()
FAMILIES: Mapping[str, tuple[Callable[[], Distribution], object]] = {
    "normal": (lambda: DiagonalNormal(A, 2 * B), stats.norm(A, b)),
    "laplace": (lambda: DiagonalLaplace(A, B), stats.laplace(A, b)),
    "logistic": (lambda: DiagonalLogistic(A, B), stats.logistic(A, b)),
    "student-t": (lambda: DiagonalStudentT(A, B, 5.0), stats.t(5.0, A, b)),
    "gumbel": (lambda: DiagonalGumbel(A, B), stats.gumbel_r(A, b)),
    "exponential": (lambda: DiagonalExponential(A), stats.expon(scale=a)),
    "log-normal": (lambda: DiagonalLogNormal(A, B), stats.lognorm(b, scale=a)),
    "gamma": (lambda: DiagonalGamma(A, B), stats.gamma(b, scale=a / b)),
    "beta": (lambda: DiagonalBeta(A, B), stats.beta(a, b)),
}
EVERY = pytest.mark.parametrize("name", FAMILIES)


@EVERY
def test_terms_are_scipys_densities_of_each_dimension_and_sum_to_the_density(name: str) -> None:
    make, peer = FAMILIES[name]
    q = make()
    assert isinstance(q, Factorised)
    torch.manual_seed(0)
    z = q.sample((4,))
    terms = q.log_prob_per_dimension(z)
    np.testing.assert_allclose(terms, peer.logpdf(z.numpy()), rtol=1e-9)  # type: ignore[attr-defined]
    torch.testing.assert_close(terms.sum(-1), q.log_prob(z))


def test_so_is_the_standard_normal() -> None:
    p = StandardNormal(3, A)
    assert isinstance(p, Factorised)
    np.testing.assert_allclose(p.log_prob_per_dimension(A), stats.norm().logpdf(A.numpy()), rtol=1e-12)
    torch.testing.assert_close(p.log_prob_per_dimension(A).sum(-1), p.log_prob(A))


@pytest.mark.parametrize("name", [*FAMILIES, "kumaraswamy"])
def test_draws_of_one_row_are_scored_under_all_rows(name: str) -> None:
    q = Kumaraswamy(A, B) if name == "kumaraswamy" else FAMILIES[name][0]()
    assert isinstance(q, Factorised)
    torch.manual_seed(0)
    z = q.sample((2,))  # [K, B, D]
    cells: Tensor = q.log_prob_per_dimension(z.unsqueeze(2))
    assert cells.shape == (2, 2, 2, 3)
    torch.testing.assert_close(cells.diagonal(dim1=1, dim2=2).movedim(-1, 1).sum(-1), q.log_prob(z))
    torch.testing.assert_close(cells[:, 0, 1].sum(-1), q.log_prob(z[:, 0:1].expand(-1, 2, -1))[:, 1])


def test_gaussians_with_correlations_are_no_products() -> None:
    for q in (FullNormal(A, torch.eye(3).double()), LowRankNormal(A, B, torch.ones(2, 3, 1).double())):
        assert not isinstance(q, Factorised)
        assert isinstance(q, Correlated)
    assert not isinstance(DiagonalNormal(A, B), Correlated)
