"""The summary of the latents: its rate is the KL, whether or not there is a closed form."""

from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from nelbo import Batch, LatentVariableModel
from nelbo.evaluate.latent import DRAWS, summarise_latents
from nelbo.likelihoods import BernoulliLikelihood
from nelbo.networks import MLP
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import MixturePrior

ROWS = 400


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
