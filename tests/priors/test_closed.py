"""Normal, Laplace and uniform spherical priors: closed densities against SciPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import gamma

from nelbo.core import Prior
from nelbo.distributions import StandardNormal
from nelbo.errors import ConfigError
from nelbo.priors import HyperspherePrior, LaplacePrior, NormalPrior


def test_a_normal_prior_starts_standard_and_learns_both_moments() -> None:
    prior, z = NormalPrior(3), torch.randn(6, 3)
    torch.testing.assert_close(prior().log_prob(z), StandardNormal(3, z).log_prob(z))
    with torch.no_grad():
        prior.loc.fill_(2.0)
        prior.raw_log_variance.fill_(1.0)
    expected = stats.norm(2.0, np.exp(0.5)).logpdf(z.numpy()).sum(-1)
    np.testing.assert_allclose(prior().log_prob(z).detach(), expected, rtol=1e-4)
    prior().log_prob(z).sum().backward()
    assert all(p.grad is not None and bool(p.grad.all()) for p in prior.parameters())


def test_the_variance_of_a_normal_prior_stays_above_its_floor() -> None:
    prior = NormalPrior(3, min_log_variance=-4.0)
    with torch.no_grad():
        prior.raw_log_variance.fill_(-1e4)
    torch.testing.assert_close(prior().log_variance, torch.full((3,), -4.0))


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_a_laplace_prior_is_scipys(scale: float) -> None:
    z = torch.randn(6, 3)
    expected = stats.laplace(scale=scale).logpdf(z.numpy()).sum(-1)
    np.testing.assert_allclose(LaplacePrior(3, scale)().log_prob(z), expected, rtol=1e-5)


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_a_spherical_prior_is_one_over_the_area(dim: int) -> None:
    prior = HyperspherePrior(dim)
    z = prior().sample((7,))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(7))
    area = 2 * np.pi ** (dim / 2) / gamma(dim / 2)
    np.testing.assert_allclose(prior().log_prob(z), -np.log(area), rtol=1e-6)
    torch.testing.assert_close(prior.code(0.3 * z), z)  # the decoder reads directions


def test_priors_follow_their_modules_type() -> None:
    for prior in (LaplacePrior(3).double(), HyperspherePrior(3).double(), NormalPrior(3).double()):
        assert prior().sample((2,)).dtype == torch.float64


@pytest.mark.parametrize(
    "make", [lambda: NormalPrior(0), lambda: LaplacePrior(0), lambda: LaplacePrior(2, 0.0), lambda: HyperspherePrior(1)]
)
def test_nothing_is_made_of_nothing(make: Callable[[], Prior]) -> None:
    with pytest.raises(ConfigError, match=r"or more.*use e\.g\."):
        make()
