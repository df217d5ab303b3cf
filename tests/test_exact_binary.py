"""Binary latents: what a sum over all codes gives, the library must give."""

from __future__ import annotations

import math

import pytest
import torch

from binary_codes import random_binary
from nelbo.core import Batch
from nelbo.evaluate import importance_log_likelihood
from nelbo.models.activity import summarise_latents
from nelbo.objectives import ELBO, IWAE, VIMCO, Reinforce

SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])


@SEEDS
def test_the_joint_summed_over_all_codes_is_the_evidence(seed: int) -> None:
    case = random_binary(seed, dim=5)
    z = case.codes.unsqueeze(1).expand(-1, len(case.x), -1)
    found = case.model.log_joint(Batch(case.x), z)
    torch.testing.assert_close(found, case.log_joint())
    torch.testing.assert_close(found.logsumexp(0), case.evidence())


@SEEDS
def test_the_bound_with_the_closed_form_of_the_kl_is_the_sum_over_all_codes(seed: int) -> None:
    case = random_binary(seed, dim=5)
    with torch.no_grad():
        kl = case.model.terms(Batch(case.x), analytic=True).kl
    assert kl is not None
    assert kl.shape == (5, 1, len(case.x))
    bound = (case.log_q().exp() * case.log_px()).sum(0) - kl.sum((0, 1))
    torch.testing.assert_close(bound, case.expected(lambda log_w: log_w[0], 1))
    assert bool((bound < case.evidence()).all())


@SEEDS
@pytest.mark.parametrize("samples", [1, 3])
def test_reported_bounds_average_to_their_sums_over_all_codes(seed: int, samples: int) -> None:
    case = random_binary(seed)
    copies = 20_000
    torch.manual_seed(seed)
    for objective, exact in (
        (ELBO(case.model, samples, gradient=Reinforce()), case.expected(lambda log_w: log_w.mean(0), 1)),
        (IWAE(case.model, samples, Reinforce()), case.expected(lambda w: w.exp().mean(0).log(), samples)),
    ):
        bound = objective(Batch(case.x.repeat(copies, 1))).bound
        assert bound is not None
        found = bound.view(copies, -1)
        error = found.std(0) / math.sqrt(copies)
        assert float(error.max()) < 0.02, "the test has no power"
        assert float(((found.mean(0) - exact.detach()) / error).abs().max()) < 4.5


@SEEDS
def test_importance_sampling_finds_the_evidence(seed: int) -> None:
    case = random_binary(seed, dim=4, scale=0.5)
    estimate = importance_log_likelihood(case.model, [Batch(case.x)], 20_000, seed=seed)
    assert estimate.monte_carlo_error < 0.03
    evidence = case.evidence().detach()
    off = float((estimate.log_likelihood - evidence).mean())
    assert abs(off) < 4.5 * estimate.monte_carlo_error
    assert float((evidence - estimate.bound).min()) > 0


def test_importance_weights_are_equal_where_q_is_the_posterior() -> None:
    case = random_binary(0, dim=1)  # one bit, of which the posterior is Bernoulli too
    with torch.no_grad():
        joint = case.log_joint()
        logit = joint[1] - joint[0]
        case.model.get_parameter("posterior.network.layer.weight").copy_(torch.linalg.pinv(case.x) @ logit)
        case.model.get_parameter("posterior.network.layer.bias").zero_()
        torch.testing.assert_close(case.x @ case.model.get_parameter("posterior.network.layer.weight")[0], logit)
    estimate = importance_log_likelihood(case.model, [Batch(case.x)], 50)
    torch.testing.assert_close(estimate.log_likelihood, case.evidence().detach())
    torch.testing.assert_close(estimate.bound, case.evidence().detach())
    assert estimate.monte_carlo_error < 1e-12


def test_the_rate_of_each_latent_is_told_apart() -> None:
    case = random_binary(0, dim=3)
    summary = summarise_latents(case.model, [Batch(case.x)])
    assert summary.kl is not None
    whole = (case.log_q().exp() * (case.log_q() - case.log_pz().unsqueeze(1))).sum(0).mean().detach()
    assert float(summary.kl.sum()) == pytest.approx(float(whole))
    assert summary.rate == pytest.approx(float(whole))


def test_draws_are_made_without_a_gradient_only_where_none_is_recorded() -> None:
    case = random_binary(0)
    with torch.inference_mode():
        assert case.model.terms(Batch(case.x), 3).log_weights.shape == (3, len(case.x))
    terms = case.model.terms(Batch(case.x), 3, VIMCO.draw)
    assert not terms.z.requires_grad
    assert terms.log_qz is not None
    assert terms.log_qz.requires_grad
