"""Annealed importance sampling against the exact evidence of linear-Gaussian models."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor

from linear_gaussian import LinearGaussian, at_the_optimum, near_the_posterior, random_linear_gaussian
from nelbo.core import Batch, Prior
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.annealing import (
    Annealing,
    annealed_log_likelihood,
    bidirectional_log_likelihood,
    simulate,
)
from nelbo.likelihoods import GaussianLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP, Linear
from nelbo.posteriors import DeltaPosterior, GaussianPosterior, KumaraswamyPosterior
from nelbo.priors import FlowPrior, SecondStagePrior, StandardNormalPrior, StickBreakingPrior
from nelbo.samplers.hamiltonian import Target, resampled, transition

HOW = Annealing(chains=100, temperatures=250, leapfrog=4)
QUICK = Annealing(chains=6, temperatures=8, leapfrog=3)


@pytest.mark.parametrize("start", ["prior", "posterior"])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_evidence_is_bracketed(seed: int, start: str) -> None:
    """From the prior whatever q is; from q where it is not far off."""
    case = random_linear_gaussian(seed, latent=2) if start == "prior" else near_the_posterior(seed)
    z, x = simulate(case.model, Batch(case.x), seed)
    found = bidirectional_log_likelihood(case.model, [(Batch(x), z)], replace(HOW, start=start))
    evidence = LinearGaussian(case.model, x).evidence()
    below, above = found.lower.log_likelihood - evidence, found.upper.log_likelihood - evidence
    for off, estimate in ((below, found.lower), (above, found.upper)):
        assert estimate.monte_carlo_error < 0.05, "the test has no power"
        assert abs(float(off.mean())) < 0.05
        assert 0.5 < estimate.acceptance < 0.8
    assert float((above - below).mean()) > -3 * math.hypot(found.lower.monte_carlo_error, found.upper.monte_carlo_error)


@pytest.mark.parametrize("start", ["posterior", "prior"])
def test_few_temperatures_are_below_the_evidence_and_above_it_in_reverse(start: str) -> None:
    """Far from equilibrium both are loose, on their own sides: a chain each, many rows."""
    case = random_linear_gaussian(3, latent=2, rows=400)
    how = Annealing(chains=1, temperatures=3, leapfrog=2, start=start)
    z, x = simulate(case.model, Batch(case.x), 0)
    found = bidirectional_log_likelihood(case.model, [(Batch(x), z)], how)
    evidence = LinearGaussian(case.model, x).evidence()
    assert float((found.lower.log_likelihood - evidence).mean()) < -0.1
    assert float((found.upper.log_likelihood - evidence).mean()) > 0.1


def test_from_the_exact_posterior_every_chain_weighs_the_evidence() -> None:
    x = torch.randn(6, 4, dtype=torch.float64)
    weight = torch.linalg.qr(torch.randn(4, 2, dtype=torch.float64))[0] * 1.5
    case = at_the_optimum(x, torch.zeros(4).double(), weight, 0.5)
    found = annealed_log_likelihood(case.model, [Batch(x)], QUICK)
    torch.testing.assert_close(found.log_likelihood, case.evidence(), rtol=0, atol=1e-9)
    torch.testing.assert_close(found.effective_sample_size, torch.full((6,), 6.0).double())
    assert found.monte_carlo_error < 1e-9


def test_a_rows_estimate_does_not_depend_on_its_neighbours() -> None:
    case = random_linear_gaussian(1)
    whole = annealed_log_likelihood(case.model, [Batch(case.x)], QUICK).log_likelihood
    halves = annealed_log_likelihood(case.model, [Batch(case.x[:2]), Batch(case.x[2:])], QUICK).log_likelihood
    torch.testing.assert_close(whole, halves, rtol=0, atol=1e-9)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0])
def test_a_transition_leaves_its_density_as_it_is(beta: float) -> None:
    """From exact draws of the density between two Gaussians, moved often: still draws of it."""
    torch.manual_seed(0)
    precisions, means = (1.0, 4.0), (0.0, 2.0)
    precision = (1 - beta) * precisions[0] + beta * precisions[1]
    mean = ((1 - beta) * precisions[0] * means[0] + beta * precisions[1] * means[1]) / precision

    def log_normal(z: Tensor, at: int) -> Tensor:
        return -0.5 * precisions[at] * (z - means[at]).square().sum(-1)

    chains = 20_000
    target = Target(lambda z: log_normal(z, 0), lambda z: log_normal(z, 1), torch.ones(1, 1, dtype=torch.float64))
    point = target.at(mean + torch.randn(chains, 1, 1, dtype=torch.float64) / math.sqrt(precision))
    generator, accepted = torch.Generator().manual_seed(1), 0.0
    for _ in range(5):
        # A step so long that many proposals are refused: without the refusals the density would change.
        point, taken = transition(target, point, beta, torch.tensor([0.8], dtype=torch.float64), 3, generator)
        accepted += float(taken.mean()) / 5
    assert accepted < 0.98
    assert stats.kstest(point.z.flatten().numpy(), stats.norm(mean, 1 / math.sqrt(precision)).cdf).pvalue > 1e-3


def test_a_proposal_without_a_finite_density_is_left() -> None:
    target = Target(lambda z: torch.zeros_like(z[..., 0]) * z[..., 0], lambda z: z[..., 0].log(), torch.ones(1, 1))
    point = target.at(torch.full((50, 1, 1), 1.0))
    moved, taken = transition(target, point, 1.0, torch.tensor([0.5]), 3, torch.Generator().manual_seed(0))
    assert bool(torch.isfinite(moved.z).all() & torch.isfinite(moved.last).all())
    assert 0 < float(taken.mean()) < 1


def test_weights_keep_their_gradients_switched_on_and_get_none() -> None:
    case = random_linear_gaussian(0)
    annealed_log_likelihood(case.model, [Batch(case.x)], QUICK)
    assert all(p.requires_grad and p.grad is None for p in case.model.parameters())


@pytest.mark.parametrize("prior", ["standard", "flow"])
def test_a_model_that_is_no_line_agrees_with_many_importance_samples(prior: str) -> None:
    """From the prior where that is a flow, which does not know its variance."""
    torch.manual_seed(0)
    model = small(StandardNormalPrior(2) if prior == "standard" else FlowPrior(2, transforms=2, hidden=8))
    batch = Batch(torch.randn(4, 5, dtype=torch.float64))
    with torch.no_grad():
        log_w = model.terms(batch, samples=200_000).log_weights
    expected = torch.logsumexp(log_w, 0) - math.log(len(log_w))
    how = replace(HOW, temperatures=100, start="prior") if prior == "flow" else HOW
    found = annealed_log_likelihood(model, [batch], how)
    torch.testing.assert_close(found.log_likelihood, expected, rtol=0, atol=0.1)


def test_a_prior_that_is_an_estimate_takes_its_noise_from_the_seed() -> None:
    torch.manual_seed(0)
    model = small(SecondStagePrior(2, hidden=4, samples=3)).eval()
    batch, found = Batch(torch.randn(3, 5, dtype=torch.float64)), {}
    for caller in (1, 2):
        torch.manual_seed(caller)
        found[caller] = annealed_log_likelihood(model, [batch], replace(QUICK, start="prior")).log_likelihood
        assert torch.initial_seed() == caller
    assert found[1].equal(found[2])
    other = annealed_log_likelihood(model, [batch], replace(QUICK, start="prior", seed=5)).log_likelihood
    assert not other.equal(found[1])


def small(prior: Prior) -> LatentVariableModel:
    return LatentVariableModel(
        prior,
        GaussianPosterior(MLP(5, 4, hidden=(8,))),
        GaussianLikelihood(MLP(2, 5, hidden=(8,)), (5,), sigma="shared"),
    ).double()


def test_what_it_cannot_do_is_refused() -> None:
    sticks = LatentVariableModel(
        StickBreakingPrior(2), KumaraswamyPosterior(Linear(3, 4), 2), GaussianLikelihood(Linear(3, 3), (3,))
    )
    with pytest.raises(CompositionError, match="use --estimator iw"):
        annealed_log_likelihood(sticks, [Batch(torch.zeros(2, 3))], QUICK)
    point = LatentVariableModel(
        StandardNormalPrior(2), DeltaPosterior(Linear(3, 2), 2), GaussianLikelihood(Linear(2, 3), (3,))
    )
    with pytest.raises(CompositionError, match="an autoencoder, whose posterior is a point, has none"):
        bidirectional_log_likelihood(point, [(Batch(torch.zeros(2, 3)), torch.zeros(2, 2))], QUICK)
    with pytest.raises(ConfigError, match="1 of its chains or more"):
        Annealing(chains=0)
    with pytest.raises(ConfigError, match="no rows"):
        annealed_log_likelihood(random_linear_gaussian(0).model, [], QUICK)


def test_chains_are_drawn_anew_in_proportion_to_their_weights() -> None:
    weights = torch.tensor([[0.5, 0.0], [0.25, 0.0], [0.25, 1.0], [0.0, 0.0]], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        chosen = resampled(weights.log(), generator)
        assert chosen[:, 0].tolist() == [0, 0, 1, 2]
        assert chosen[:, 1].tolist() == [2, 2, 2, 2]
