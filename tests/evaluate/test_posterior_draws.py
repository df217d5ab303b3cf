"""The log-likelihood from posterior draws, against the exact evidence of linear-Gaussian models."""

from __future__ import annotations

import pytest
import torch

from linear_gaussian import linear_model, random_linear_gaussian
from nelbo.core import Batch
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.annealing import Annealing, annealed_log_likelihood
from nelbo.evaluate.posterior_draws import Chains, posterior_log_likelihood
from nelbo.likelihoods import BernoulliLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import StandardNormalPrior


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_evidence_of_a_linear_gaussian_model_whatever_q_is(seed: int) -> None:
    case = random_linear_gaussian(seed, latent=2)
    found = posterior_log_likelihood(case.model, [Batch(case.x)], Chains(chains=50, draws=20, warm_up=60))
    assert torch.allclose(found.log_likelihood, case.evidence(), atol=0.02)
    assert float(found.effective_sample_size.min()) > 500, "of 1,000: a Gaussian follows a Gaussian"
    assert 0.5 < found.acceptance < 0.8


def test_on_a_posterior_that_is_no_gaussian_it_agrees_with_annealing() -> None:
    torch.manual_seed(0)
    model = LatentVariableModel(
        StandardNormalPrior(2),
        GaussianPosterior(MLP(8, 4, hidden=(6,)), 2),
        BernoulliLikelihood(MLP(2, 8, hidden=(6,)), (8,)),
    ).double()
    with torch.no_grad():
        for p in model.likelihood.parameters():
            p.mul_(4.0)
    x = (torch.rand(6, 8, dtype=torch.float64) < 0.5).double()
    found = posterior_log_likelihood(model, [Batch(x)], Chains(chains=40, draws=30))
    annealed = annealed_log_likelihood(model, [Batch(x)], Annealing(chains=100, temperatures=100, start="prior"))
    assert annealed.monte_carlo_error < 0.02
    assert torch.allclose(found.log_likelihood, annealed.log_likelihood, atol=0.1)
    assert all(p.requires_grad for p in model.parameters())


def test_more_latents_than_a_density_can_be_fitted_in_are_refused() -> None:
    with pytest.raises(CompositionError, match="fewer than 5, annealed importance sampling any number"):
        posterior_log_likelihood(linear_model(8, 5), [])


def test_no_rows_and_no_chains_are_refused() -> None:
    with pytest.raises(ConfigError, match="no rows to evaluate"):
        posterior_log_likelihood(linear_model(4, 2), [])
    with pytest.raises(ConfigError, match="need 1 of chains"):
        Chains(chains=0)
