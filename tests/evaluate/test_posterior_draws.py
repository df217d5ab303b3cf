"""The log-likelihood from posterior draws, against the evidence in closed form and by quadrature."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from linear_gaussian import linear_model, random_linear_gaussian
from nelbo.core import Batch
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.posterior_draws import Chains, posterior_log_likelihood
from nelbo.likelihoods import BernoulliLikelihood, GaussianLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import StandardNormalPrior


@pytest.mark.parametrize("seed", [0, 1])
def test_it_is_the_evidence_of_a_linear_gaussian_model_whatever_q_is(seed: int) -> None:
    case = random_linear_gaussian(seed, latent=2)
    found = posterior_log_likelihood(case.model, [Batch(case.x)], Chains(chains=120, draws=80))
    assert torch.allclose(found.log_likelihood, case.evidence(), atol=0.02)
    assert float(found.effective_sample_size.min()) > 6_000, "of 9,600: a Gaussian follows a Gaussian"
    assert 0.5 < found.acceptance < 0.8


def test_on_a_posterior_that_is_no_gaussian_it_is_the_evidence_by_quadrature() -> None:
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
    side = torch.linspace(-7, 7, 701, dtype=torch.float64)
    z = torch.cartesian_prod(side, side).unsqueeze(1).expand(-1, len(x), -1)
    evidence = torch.logsumexp(model.log_joint(Batch(x), z).detach(), 0) + 2 * math.log(14 / 700)
    found = posterior_log_likelihood(model, [Batch(x)], Chains(chains=100, draws=30))
    assert torch.allclose(found.log_likelihood, evidence, atol=0.05)
    assert all(p.requires_grad for p in model.parameters())


class _Squares(torch.nn.Module):
    """z^2 in every output: a posterior has two modes, one at either side of 0, whatever q knows of them."""

    in_features, out_features = 1, 1

    def forward(self, z: Tensor) -> Tensor:
        return z.square()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_modes_that_the_recognition_model_does_not_know_are_found(seed: int) -> None:
    # The encoder sees one side only; chains that start there estimate half the evidence, log 2 nats less.
    likelihood = GaussianLikelihood(_Squares(), (1,), sigma="unit", scale=torch.tensor(0.3))
    posterior = GaussianPosterior(MLP(1, 2, hidden=(2,)), 1)
    model = LatentVariableModel(StandardNormalPrior(1), posterior, likelihood).double()
    with torch.no_grad():
        for p in posterior.parameters():
            p.zero_()
        list(posterior.parameters())[-1].copy_(torch.tensor([1.5, -3.0]))
    x = torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64)
    z = torch.linspace(-12, 12, 48_001, dtype=torch.float64)
    joint = model.log_joint(Batch(x), z[:, None, None].expand(-1, len(x), 1)).detach()
    evidence = torch.logsumexp(joint, 0) + math.log(24 / 48_000)
    found = posterior_log_likelihood(model, [Batch(x)], Chains(chains=40, draws=30, warm_up=60, seed=seed))
    assert torch.allclose(found.log_likelihood, evidence, atol=0.25)


def test_more_latents_than_a_density_can_be_fitted_in_are_refused() -> None:
    with pytest.raises(CompositionError, match="fewer than 5, annealed importance sampling any number"):
        posterior_log_likelihood(linear_model(8, 5), [])


def test_no_rows_and_no_chains_are_refused() -> None:
    with pytest.raises(ConfigError, match="no rows to evaluate"):
        posterior_log_likelihood(linear_model(4, 2), [])
    with pytest.raises(ConfigError, match="need 1 of chains"):
        Chains(chains=0)
