"""Figures of the latents where the KL is one number for all of them, or has no closed form."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from nelbo.core import Batch
from nelbo.likelihoods import BernoulliLikelihood
from nelbo.models import LatentVariableModel
from nelbo.models.activity import DRAWS, summarise_latents
from nelbo.networks import MLP
from nelbo.posteriors import GaussianPosterior, RelaxedCategoricalPosterior, VonMisesFisherPosterior
from nelbo.priors import CategoricalPrior, HyperspherePrior, MixturePrior, StandardNormalPrior

ROWS = 400
X = (torch.rand(50, 6, generator=torch.Generator().manual_seed(0)) < 0.5).float()


def model(name: str) -> LatentVariableModel:
    torch.manual_seed(0)
    prior, posterior = {
        "normal": (StandardNormalPrior(4), GaussianPosterior(MLP(6, 8))),
        "sphere": (HyperspherePrior(4), VonMisesFisherPosterior(MLP(6, 5), 4)),
        "codes": (CategoricalPrior(4), RelaxedCategoricalPosterior(MLP(6, 4), 4)),
    }[name]
    return LatentVariableModel(prior, posterior, BernoulliLikelihood(MLP(4, 6), (6,))).eval()


@pytest.mark.parametrize(("name", "apart"), [("normal", True), ("sphere", False), ("codes", False)])
def test_a_joint_kl_is_a_rate_but_not_one_of_each_latent(name: str, apart: bool) -> None:
    found = summarise_latents(model(name), [Batch(X)])
    assert (found.kl is not None) is apart
    assert found.rate is not None
    terms = model(name).terms(Batch(X), samples=4_000)
    assert terms.log_qz is not None
    assert terms.log_pz is not None
    draws = (terms.log_qz - terms.log_pz).mean(1).detach().double()
    spread = float((terms.log_qz - terms.log_pz).detach().std(0).mean())  # of one draw where there is no closed form
    error = float(draws.std()) / 4_000**0.5 + (spread / (DRAWS * len(X)) ** 0.5 if name == "codes" else 0.0)
    assert found.rate == pytest.approx(float(draws.mean()), abs=4.5 * error + 1e-6)


def test_the_monte_carlo_rate_is_the_kl_within_its_error() -> None:
    torch.manual_seed(0)
    prior = MixturePrior(3, components=1)
    encoder, decoder = MLP(5, 6, hidden=(8,)), MLP(3, 5, hidden=(8,))
    model = LatentVariableModel(prior, GaussianPosterior(encoder), BernoulliLikelihood(decoder, (5,))).double()
    batch = Batch(torch.rand(ROWS, 5, dtype=torch.float64).round())
    found = summarise_latents(model, [batch])
    assert found.kl is None
    assert found.rate is not None

    with torch.no_grad():  # one component is a diagonal normal, whose KL torch knows
        q, p = model.encode(batch), prior()
        component = Normal(p.loc[0], torch.exp(0.5 * p.log_variance[0]))
        exact = kl_divergence(Normal(q.mean, q.stddev), component).sum(-1).mean()
        z = q.sample((2_000,))
        values = q.log_prob(z) - component.log_prob(z).sum(-1)
    error = float(values.var(0).mean() / (DRAWS * ROWS)) ** 0.5
    assert error < 0.04
    assert abs(found.rate - float(exact)) < 4 * error
