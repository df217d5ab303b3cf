"""Linear Gaussian models: what is known in closed form, the library must give."""

from __future__ import annotations

import functools
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from linear_gaussian import LinearGaussian, at_the_optimum, near_the_posterior, random_linear_gaussian
from nelbo.core import Batch
from nelbo.evaluate import importance_log_likelihood
from nelbo.objectives import ELBO, IWAE, AnalyticKL, ImportanceWeighted, SampledKL
from nelbo.objectives.elbo import KLEstimator
from nelbo.solvers import fit_ppca

ESTIMATORS = pytest.mark.parametrize("kl", [SampledKL, AnalyticKL], ids=["SGVB-A", "SGVB-B"])
SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])


def generated() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(9, 9, generator=generator, dtype=torch.float64)
    return torch.randn(200, 9, generator=generator, dtype=torch.float64) @ mixing + 2.0


def digits() -> Tensor:
    return torch.from_numpy(load_digits().data[:300]) / 16


@pytest.fixture(
    params=[(generated, 1), (generated, 4), (digits, 2), (digits, 10)], ids=lambda p: f"{p[0].__name__}-{p[1]}"
)
def optimum(request: pytest.FixtureRequest) -> LinearGaussian:
    data, latent = request.param
    x = data()
    ppca = fit_ppca(x, latent)
    return at_the_optimum(x, ppca.mean, ppca.weight, ppca.noise_variance)


def expected_log_px(case: LinearGaussian) -> Tensor:
    """E_q[log p(x given z)] exactly: log p is quadratic in z, so points at m +- sqrt(q) s_i e_i integrate it."""
    q = case.model.encode(Batch(case.x))
    latent = q.event_shape[0]
    step = math.sqrt(latent) * torch.eye(latent, dtype=torch.float64).unsqueeze(1)
    points = q.mean + torch.cat([step, -step]) * q.stddev
    return case.model.likelihood.log_px(points, Batch(case.x)).mean(0)


# At the optimum: no gap, no variance.


def test_every_single_draw_of_the_bound_is_the_evidence_at_the_optimum(optimum: LinearGaussian) -> None:
    evidence = optimum.evidence()
    for seed in range(3):
        torch.manual_seed(seed)
        bound = ELBO(optimum.model, samples=1, kl=SampledKL())(Batch(optimum.x)).bound
        assert bound is not None
        torch.testing.assert_close(bound, evidence, rtol=0, atol=1e-8)


def test_the_bound_with_the_analytic_kl_is_the_evidence_at_the_optimum(optimum: LinearGaussian) -> None:
    terms = optimum.model.terms(Batch(optimum.x), analytic=True)
    assert terms.kl is not None
    bound = expected_log_px(optimum) - terms.kl.sum(0)[0]
    torch.testing.assert_close(bound, optimum.evidence(), rtol=0, atol=1e-8)


def test_the_closed_form_of_the_solver_is_the_evidence_of_the_model(optimum: LinearGaussian) -> None:
    ppca = fit_ppca(optimum.x, optimum.decoder.weight.shape[1])
    torch.testing.assert_close(ppca.log_likelihood(optimum.x), optimum.evidence(), rtol=0, atol=1e-8)


def test_the_gradient_of_the_bound_vanishes_at_the_optimum(optimum: LinearGaussian) -> None:
    loss = -optimum.elbo().mean()
    gradients = torch.autograd.grad(loss, list(optimum.model.parameters()))
    assert max(float(g.abs().max()) for g in gradients) < 1e-8


def test_importance_weights_are_equal_with_the_exact_posterior(optimum: LinearGaussian) -> None:
    estimate = importance_log_likelihood(optimum.model, [Batch(optimum.x)], samples=40)
    torch.testing.assert_close(estimate.log_likelihood, optimum.evidence(), rtol=0, atol=1e-8)
    torch.testing.assert_close(estimate.bound, optimum.evidence(), rtol=0, atol=1e-8)
    torch.testing.assert_close(estimate.effective_sample_size, torch.full((len(optimum.x),), 40.0).double())
    assert estimate.monte_carlo_error < 1e-10


# Anywhere: bound = evidence - KL(q || posterior).


@SEEDS
def test_the_bound_is_the_evidence_less_the_divergence_from_the_posterior(seed: int) -> None:
    case = random_linear_gaussian(seed)
    terms = case.model.terms(Batch(case.x), analytic=True)
    assert terms.kl is not None
    bound = expected_log_px(case) - terms.kl.sum(0)[0]
    torch.testing.assert_close(bound, case.evidence() - case.gap(), rtol=0, atol=1e-9)
    torch.testing.assert_close(bound, case.elbo(), rtol=0, atol=1e-9)


@SEEDS
def test_log_weight_is_the_evidence_plus_the_log_ratio_of_posterior_to_q(seed: int) -> None:
    case = random_linear_gaussian(seed)
    terms = case.model.terms(Batch(case.x), samples=7)
    assert terms.log_qz is not None
    expected = case.evidence() + case.posterior().log_prob(terms.z) - terms.log_qz
    torch.testing.assert_close(terms.log_weights, expected, rtol=0, atol=1e-9)


@ESTIMATORS
@SEEDS
def test_both_estimators_average_to_the_closed_form_bound(seed: int, kl: type[KLEstimator]) -> None:
    case = random_linear_gaussian(seed)
    torch.manual_seed(seed)
    terms = case.model.terms(Batch(case.x), samples=20_000, analytic=kl.analytic)
    draws = (terms.log_px - terms.kl.sum(0) if terms.kl is not None else terms.log_weights).detach()
    error = draws.std(0) / math.sqrt(len(draws))
    assert float(error.max()) < 0.5, "the test has no power: the standard error is too large"
    assert float(((draws.mean(0) - case.elbo().detach()) / error).abs().max()) < 4.5


@SEEDS
def test_importance_sampling_reaches_the_evidence_where_the_bound_does_not(seed: int) -> None:
    # A q that is wrong by a little, so that weights have a finite variance.
    ppca = fit_ppca(generated(), 2)
    case = at_the_optimum(generated()[:20], ppca.mean, ppca.weight, ppca.noise_variance)
    with torch.no_grad():
        case.encoder.bias.add_(0.1 * torch.randn(4, generator=torch.Generator().manual_seed(seed)))
    estimate = importance_log_likelihood(case.model, [Batch(case.x)], samples=4000, seed=seed)
    off = float((estimate.log_likelihood - case.evidence()).mean())
    assert abs(off) < 4.5 * estimate.monte_carlo_error + 1e-6
    assert estimate.monte_carlo_error < 0.02
    assert float((case.evidence() - estimate.bound).min()) > 0


def test_the_importance_weighted_bound_rises_from_the_elbo_to_the_evidence() -> None:
    case = random_linear_gaussian(3, latent=1)
    torch.manual_seed(0)
    log_w = case.model.terms(Batch(case.x), samples=2**14).log_weights.detach()
    bound = ImportanceWeighted()
    values = [torch.stack([bound(group) for group in log_w.split(2**power)]).mean(0) for power in range(0, 15, 2)]
    # On nested groups of the same draws, Jensen's inequality holds without noise.
    assert all(bool((later >= earlier - 1e-12).all()) for earlier, later in pairwise(values))
    torch.testing.assert_close(values[0], log_w.mean(0))


@SEEDS
@pytest.mark.parametrize("samples", [2, 5, 50])
def test_the_importance_weighted_bound_is_the_expectation_of_its_definition(seed: int, samples: int) -> None:
    """K = 2 against quadrature, more against a Monte Carlo value whose formulas and noise are not the library's."""
    case = near_the_posterior(seed)
    copies = 60_000 if samples < 10 else 12_000
    torch.manual_seed(seed)
    bound = IWAE(case.model, samples)(Batch(case.x.repeat(copies, 1))).bound
    assert bound is not None
    found = bound.view(copies, -1)
    error = found.std(0) / math.sqrt(copies)
    if samples == 2:
        expected = case.expected(lambda log_w: log_w.exp().mean(0).log(), 2, nodes=60).detach()
    else:
        generator = np.random.default_rng(seed)
        loc, variance = (value.detach() for value in case.q())
        noise = torch.from_numpy(generator.normal(size=(samples, copies, len(case.x), 1)))
        z = (loc + variance.sqrt() * noise).flatten(0, 1)
        log_w = case.log_weights(z).detach().view(samples, copies, -1)
        values = torch.logsumexp(log_w, 0) - math.log(samples)
        expected = values.mean(0)
        own_error = values.std(0) / math.sqrt(copies)
        assert float(own_error.max()) <= 0.002, "the test has no power"
        error = torch.hypot(error, own_error)
    assert float(error.max()) < 0.004, "the test has no power"
    assert float(((found.mean(0) - expected) / error).abs().max()) < 4.5


# Gradients: unbiased, and the test would notice if they were not.


@functools.cache
def gradients(seed: int, kl: type[KLEstimator]) -> tuple[Tensor, Tensor]:
    """Independent estimates of the gradient of the loss [repeats, parameters], and the exact one [parameters]."""
    case = random_linear_gaussian(seed)
    torch.manual_seed(seed)
    objective = ELBO(case.model, samples=2000, kl=kl())
    parameters = list(case.model.parameters())
    rows = [torch.autograd.grad(objective(Batch(case.x)).loss, parameters) for _ in range(150)]
    exact = torch.autograd.grad(-case.elbo().mean(), parameters)
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]), torch.cat([g.flatten() for g in exact])


def length_ratio(estimates: Tensor, exact: Tensor) -> tuple[float, float]:
    """Length of the mean estimate along the exact gradient, as a share of it, and its standard error."""
    shares = estimates @ exact / exact.square().sum()
    return float(shares.mean()), float(shares.std() / math.sqrt(len(shares)))


@ESTIMATORS
@SEEDS
def test_gradients_are_unbiased(seed: int, kl: type[KLEstimator]) -> None:
    estimates, exact = gradients(seed, kl)
    error = estimates.std(0) / math.sqrt(len(estimates))
    scores = (estimates.mean(0) - exact) / error
    assert float(scores.abs().max()) < 4.5
    ratio, uncertainty = length_ratio(estimates, exact)
    assert uncertainty < 0.0015, "the test has no power"
    assert abs(ratio - 1) < 4.5 * uncertainty


@ESTIMATORS
@SEEDS
def test_a_planted_error_of_one_percent_in_the_gradient_would_be_caught(seed: int, kl: type[KLEstimator]) -> None:
    estimates, exact = gradients(seed, kl)
    for factor in (0.99, 1.01):
        ratio, uncertainty = length_ratio(factor * estimates, exact)
        assert abs(ratio - 1) > 4.5 * uncertainty
