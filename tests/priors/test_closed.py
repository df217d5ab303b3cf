"""Normal, Laplace, Cauchy, gamma, Dirichlet, spherical, one-hot, Bernoulli priors: closed densities against SciPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import gamma
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli

from nelbo.core import Prior
from nelbo.distributions import StandardNormal
from nelbo.errors import ConfigError
from nelbo.priors import (
    BernoulliPrior,
    CauchyPrior,
    DirichletPrior,
    GammaPrior,
    HyperspherePrior,
    LaplacePrior,
    NormalPrior,
    OneHotPrior,
    RelaxedBernoulliPrior,
)


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


@pytest.mark.parametrize("scale", [0.1, 1.0, 7.0])
def test_a_cauchy_prior_is_scipys_and_the_decoder_reads_hyperbolic_secants(scale: float) -> None:
    prior, z = CauchyPrior(3, scale), torch.randn(6, 3)
    np.testing.assert_allclose(prior().log_prob(z), stats.cauchy(scale=scale).logpdf(z.numpy()).sum(-1), rtol=1e-5)
    codes = prior.code(prior().sample((20_000,)))
    assert stats.kstest(codes[:, 0].double().numpy(), stats.hypsecant().cdf).pvalue > 1e-4 / 3


@pytest.mark.parametrize(("shape", "rate"), [(1.0, 1.0), (0.5, 3.0), (20.0, 2.0)])
def test_a_gamma_prior_is_scipys(shape: float, rate: float) -> None:
    prior, z = GammaPrior(3, shape, rate), torch.rand(6, 3) + 0.1
    peer = stats.gamma(shape, scale=1 / rate)
    np.testing.assert_allclose(prior().log_prob(z), peer.logpdf(z.numpy()).sum(-1), rtol=1e-4, atol=1e-4)
    drawn = prior().sample((20_000,))
    assert stats.kstest(drawn[:, 0].double().numpy(), peer.cdf).pvalue > 1e-4 / 3


@pytest.mark.parametrize("concentration", [0.3, 1.0, 5.0])
def test_a_dirichlet_prior_is_scipys(concentration: float) -> None:
    prior, peer = DirichletPrior(3, concentration), stats.dirichlet([concentration] * 3)
    z = peer.rvs(6, random_state=0)
    found = prior.double()().log_prob(torch.tensor(z))
    np.testing.assert_allclose(found, [peer.logpdf(row) for row in z], rtol=1e-8, atol=1e-8)


def test_a_one_hot_prior_gives_every_code_the_same_mass() -> None:
    prior = OneHotPrior(6, groups=2)
    z = prior().sample((50,))
    torch.testing.assert_close(prior().log_prob(z).exp(), torch.full((50,), 1 / 9))
    torch.testing.assert_close(prior.code(z), z)


@pytest.mark.parametrize("learned", [False, True])
def test_a_bernoulli_prior_is_scipys_and_learns_its_log_odds(learned: bool) -> None:
    prior = BernoulliPrior(3, 0.2, learned)
    z = prior().sample((50,))
    expected = stats.bernoulli(0.2).logpmf(z.numpy()).sum(-1)
    np.testing.assert_allclose(prior().log_prob(z).detach(), expected, rtol=1e-5)
    torch.testing.assert_close(prior.code(z), z)
    assert len(list(prior.parameters())) == learned
    assert ("logits" in prior.state_dict()) is learned


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("probability", [0.2, 0.5])
def test_a_relaxed_bernoulli_prior_is_torchs_over_log_odds(temperature: float, probability: float) -> None:
    prior = RelaxedBernoulliPrior(3, probability, temperature=temperature).double()
    torch.manual_seed(0)
    z = prior().sample((20_000,))
    peer = LogitRelaxedBernoulli(torch.tensor(temperature).double(), torch.tensor(probability).double())
    torch.testing.assert_close(prior().log_prob(z), peer.log_prob(z).sum(-1), rtol=1e-6, atol=1e-6)
    codes = prior.code(z)
    assert bool(((codes > 0) & (codes < 1)).all() or temperature < 0.5)
    error = (probability * (1 - probability) / z.numel()) ** 0.5
    assert abs(float((codes > 0.5).double().mean()) - probability) < 4.5 * error


def test_a_temperature_of_0_relaxes_nothing() -> None:
    with pytest.raises(ConfigError, match=r"temperature above 0, but 0\.0.*--prior relaxed-bernoulli:temperature=0\.5"):
        RelaxedBernoulliPrior(2, temperature=0.0)


def test_relaxed_log_odds_are_learned() -> None:
    prior = RelaxedBernoulliPrior(3, learned=True)
    prior().log_prob(torch.randn(4, 3)).sum().backward()
    assert bool(prior.get_parameter("logits").grad.all())  # type: ignore[union-attr]


@pytest.mark.parametrize("dim", [2, 3, 10])
def test_a_spherical_prior_is_one_over_the_area(dim: int) -> None:
    prior = HyperspherePrior(dim)
    z = prior().sample((7,))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(7))
    area = 2 * np.pi ** (dim / 2) / gamma(dim / 2)
    np.testing.assert_allclose(prior().log_prob(z), -np.log(area), rtol=1e-6)
    torch.testing.assert_close(prior.code(0.3 * z), z)  # the decoder reads directions


def test_priors_follow_their_modules_type() -> None:
    for kind in (
        LaplacePrior,
        HyperspherePrior,
        NormalPrior,
        CauchyPrior,
        GammaPrior,
        DirichletPrior,
        OneHotPrior,
        BernoulliPrior,
        RelaxedBernoulliPrior,
    ):
        prior = kind(3).double()
        assert prior().sample((2,)).dtype == torch.float64


@pytest.mark.parametrize(
    "make",
    [
        lambda: NormalPrior(0),
        lambda: LaplacePrior(0),
        lambda: LaplacePrior(2, 0.0),
        lambda: HyperspherePrior(1),
        lambda: CauchyPrior(2, 0.0),
        lambda: GammaPrior(2, 0.0),
        lambda: GammaPrior(2, rate=0.0),
        lambda: DirichletPrior(1),
        lambda: DirichletPrior(2, 0.0),
        lambda: OneHotPrior(6, groups=4),
        lambda: BernoulliPrior(0),
        lambda: BernoulliPrior(2, 0.0),
        lambda: BernoulliPrior(2, 1.0),
        lambda: RelaxedBernoulliPrior(0),
        lambda: RelaxedBernoulliPrior(2, 1.0),
    ],
)
def test_nothing_is_made_of_nothing(make: Callable[[], Prior]) -> None:
    with pytest.raises(ConfigError, match=r"or more.*use e\.g\."):
        make()
