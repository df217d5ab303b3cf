"""The second-stage prior: a linear one is a Gaussian known in closed form; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from nelbo.core import Batch
from nelbo.errors import ConfigError
from nelbo.evaluate import importance_log_likelihood
from nelbo.likelihoods import GaussianLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import Linear
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import SecondStagePrior

S2 = 0.5
W = np.array([[1.0, 0.5], [-1.0, 0.5], [0.0, 2.0]])  # orthogonal columns: q(u given z) is diagonal
MEAN = np.array([0.3, -1.0, 2.0])


def linear(samples: int = 1, q_scale: float = 1.0) -> SecondStagePrior:
    """z = MEAN + W u + noise; q(u given z) is exact where `q_scale` is 1."""
    prior = SecondStagePrior(3, latent=2, hidden=(), samples=samples).double()
    norms = (W**2).sum(0)
    encode = W.T / (norms + S2)[:, None]
    variance = q_scale * S2 / (norms + S2)
    encoder, decoder = prior.encoder.layers[0], prior.decoder.layers[0]
    assert isinstance(encoder, nn.Linear)
    assert isinstance(decoder, nn.Linear)
    with torch.no_grad():
        encoder.weight.copy_(torch.from_numpy(np.concatenate([encode, np.zeros_like(encode)])))
        raw = prior.log_variance.inverse(torch.from_numpy(np.log(variance)))
        encoder.bias.copy_(torch.cat([torch.from_numpy(-encode @ MEAN), raw]))
        decoder.weight.copy_(torch.from_numpy(W))
        decoder.bias.copy_(torch.from_numpy(MEAN))
        prior.raw_log_variance.copy_(prior.log_variance.inverse(torch.full((3,), np.log(S2), dtype=torch.float64)))
    return prior


EXACT = stats.multivariate_normal(MEAN, W @ W.T + S2 * np.eye(3))


def test_a_linear_one_with_its_exact_posterior_is_scipys_gaussian() -> None:
    z = torch.randn(7, 3, dtype=torch.float64)
    np.testing.assert_allclose(linear()().log_prob(z).detach(), EXACT.logpdf(z.numpy()), rtol=1e-8)


def test_draws_have_its_moments() -> None:
    drawn = linear()().sample((40_000,)).numpy()
    covariance = W @ W.T + S2 * np.eye(3)
    error = np.sqrt(np.diag(covariance) / len(drawn))
    assert bool((np.abs(drawn.mean(0) - MEAN) < 4.5 * error).all())
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.12)


def test_the_likelihood_through_a_crude_second_stage_is_a_lower_bound_that_more_draws_tighten() -> None:
    """x = A z + b + noise: log p(x) is Gaussian in closed form; q(u given z) is far too wide, S is 2."""
    likelihood = GaussianLikelihood(Linear(3, 4), (4,), sigma="unit")
    encoder = Linear(4, 6)
    model = LatentVariableModel(linear(2, q_scale=6.0), GaussianPosterior(encoder), likelihood).double().eval()
    a = model.get_parameter("likelihood.network.layer.weight").detach().numpy()
    mean = a @ MEAN + model.get_parameter("likelihood.network.layer.bias").detach().numpy()
    prior_covariance = W @ W.T + S2 * np.eye(3)
    law = stats.multivariate_normal(mean, a @ prior_covariance @ a.T + np.eye(4))
    covariance = np.linalg.inv(np.linalg.inv(prior_covariance) + a.T @ a)  # of p(z given x), which q is wider than
    pull = covariance @ a.T
    with torch.no_grad():
        encoder.layer.weight.copy_(torch.from_numpy(np.concatenate([pull, np.zeros_like(pull)])))
        spread = np.log(2 * np.linalg.eigvalsh(covariance).max() * np.ones(3))
        encoder.layer.bias.copy_(torch.from_numpy(np.concatenate([MEAN - pull @ mean, spread])))
    x = torch.from_numpy(law.rvs(20, random_state=0))
    exact = law.logpdf(x.numpy()).mean()
    found = importance_log_likelihood(model, [Batch(x)], samples=20_000)
    assert found.by_samples[1] < found.by_samples[10] < found.by_samples[100] < exact
    assert found.by_samples[1] < exact - 1  # far below: S and q are crude, and it shows
    assert float(found.log_likelihood.mean()) == pytest.approx(exact, abs=4.5 * found.monte_carlo_error)
    assert found.monte_carlo_error < 0.05


def test_its_noise_is_not_that_of_the_draws_it_scores() -> None:
    """Both start from a seed, which users choose: the same numbers would make the weights dependent."""
    for seed in range(20):
        torch.manual_seed(seed)
        noise = linear(2).eval()()._noise(torch.Size((50, 1)), torch.zeros(50, 2).double()).flatten()
        common = torch.randn(50, 1, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        assert not torch.isclose(noise[:100], common.flatten()).any()


def test_training_draws_afresh_and_evaluation_does_not() -> None:
    prior, z = linear(1, q_scale=3.0), torch.randn(5, 3, dtype=torch.float64)
    assert not prior.train()().log_prob(z).equal(prior().log_prob(z))
    assert prior.eval()().log_prob(z).equal(prior().log_prob(z))


@pytest.mark.parametrize("arguments", [{"dim": 0}, {"dim": 2, "samples": 0}, {"dim": 2, "latent": -1}])
def test_nothing_is_made_of_nothing(arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"use e\.g\. --latent 20 --prior second-stage:samples=5"):
        SecondStagePrior(**arguments)
