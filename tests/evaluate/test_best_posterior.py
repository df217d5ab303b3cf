"""The best posterior of each row, against linear Gaussian models where the best of a family is known."""

from __future__ import annotations

import copy
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from linear_gaussian import FLOOR, LinearGaussian, at_the_optimum, random_linear_gaussian
from nelbo.core import Batch, Posterior
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.best_posterior import Best, Search, best_posteriors
from nelbo.likelihoods import GaussianLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import Linear
from nelbo.posteriors import BernoulliPosterior, DeltaPosterior, FullGaussianPosterior
from nelbo.priors import BernoulliPrior
from nelbo.registry import registered
from zoo import CASES, Case

SEARCH = Search(steps=800, pairs=5, lr=0.1)
QUICK = Search(steps=40, pairs=2, lr=0.05)


def by_mean_field(case: LinearGaussian) -> Tensor:
    """KL of the best diagonal Gaussian to the posterior: of all, that with its mean and the diagonal of its precision.

    (sum_d log P_dd - log det P) / 2, whatever the row; Bishop (2006), section 10.1.2.
    """
    precision = case.posterior().precision_matrix[0]
    return 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))


@pytest.mark.parametrize("seed", [0, 1])
def test_the_best_diagonal_gaussian_is_as_far_from_the_posterior_as_mean_field_theory_says(seed: int) -> None:
    case = random_linear_gaussian(seed, latent=4)
    best = best_posteriors(case.model, [Batch(case.x)], SEARCH, 4_000)
    off = case.evidence() - best.log_w.mean(0) - by_mean_field(case)
    assert float(by_mean_field(case)) > 0.05, "the test has no power"
    assert float(case.gap().min()) > 0.5, "the test has no power"
    torch.testing.assert_close(off, torch.zeros_like(off), rtol=0, atol=0.03)
    error = best.log_w_encoder.std(0) / 4_000**0.5
    assert bool(((best.log_w_encoder.mean(0) - case.elbo()).abs() < 4 * error).all())
    assert abs(best.slope) < 0.01


def test_a_full_covariance_leaves_no_gap() -> None:
    case = random_linear_gaussian(0, latent=3)
    posterior = FullGaussianPosterior(Linear(6, FullGaussianPosterior.outputs(3)), 3, FLOOR).double()
    model = LatentVariableModel(case.model.prior, posterior, case.model.likelihood)
    best = best_posteriors(model, [Batch(case.x)], SEARCH, 1_000)
    torch.testing.assert_close(best.log_w.mean(0), case.evidence(), rtol=0, atol=0.04)
    assert float(best.log_w.std(0).max()) < 0.3  # weights of draws of the posterior are all the evidence


def test_codes_whose_draws_have_no_gradient_come_to_the_best_bernoulli() -> None:
    """Two binary latents: every bound is a sum over four codes, and SciPy finds the highest."""
    torch.manual_seed(0)
    model = LatentVariableModel(
        BernoulliPrior(2),
        BernoulliPosterior(Linear(3, 2), 2),
        GaussianLikelihood(Linear(2, 3), (3,), sigma="shared"),
    ).double()
    with torch.no_grad():
        model.get_submodule("likelihood.network.layer").weight.mul_(2.0)
    x = torch.randn(4, 3, dtype=torch.float64)
    codes = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 2)
    joint = model.log_joint(Batch(x), codes.unsqueeze(1).expand(-1, len(x), -1)).detach().numpy()  # [4, B]

    def minus_bound(logits: npt.NDArray[np.float64], row: int) -> float:
        log_q = -np.logaddexp(0, (1 - 2 * codes.numpy()) * logits).sum(1)
        return float((np.exp(log_q) * (log_q - joint[:, row])).sum())

    highest = [-minimize(minus_bound, np.zeros(2), (row,)).fun for row in range(len(x))]
    best = best_posteriors(model, [Batch(x)], SEARCH, 4_000)
    error = best.log_w.std(0).numpy() / 4_000**0.5
    assert (np.abs(best.log_w.mean(0).numpy() - highest) < 4 * error + 0.01).all()
    assert float((best.log_w - best.log_w_encoder).mean()) > 0.05, "the test has no power"


def test_where_the_encoder_is_exact_nothing_is_found() -> None:
    x = torch.randn(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weight = torch.linalg.qr(x[:4])[0][:, :2] * 1.5
    case = at_the_optimum(x, torch.zeros(4).double(), weight, 0.5)
    best = best_posteriors(case.model, [Batch(x)], SEARCH, 1_000)
    torch.testing.assert_close(best.log_w_encoder.mean(0), case.evidence(), rtol=0, atol=1e-9)
    torch.testing.assert_close(best.log_w.mean(0), case.evidence(), rtol=0, atol=0.01)


def one_of_each() -> dict[str, Case]:
    """For every posterior with a density, the first case of the zoo that has it."""
    found: dict[str, Case] = {}
    for case in CASES:
        found.setdefault(str(case.settings.get("posterior", "gaussian")).partition(":")[0], case)
    return {name: found[name] for name, cls in registered("posterior") if cast("type[Posterior]", cls).has_density}


def model_of(case: Case) -> LatentVariableModel:
    return cast("LatentVariableModel", case.objective().get_submodule("model"))


@pytest.mark.parametrize("name", one_of_each())
def test_every_posterior_is_improved_and_nothing_else_is(name: str) -> None:
    case = one_of_each()[name]
    model = model_of(case)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    best = best_posteriors(model, [case.batch], QUICK, 200)
    assert float((best.bounds[-1] - best.bounds[0]).mean()) > 0.02
    assert bool((best.bounds.diff(dim=0) >= 0).all())
    assert float((best.log_w - best.log_w_encoder).mean()) > 0.0  # by draws that chose nothing
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert torch.get_rng_state().equal(state)


@pytest.mark.parametrize(("name", "shared"), [("gaussian", False), ("planar", False), ("iaf", True)])
def test_parameters_beside_the_networks_outputs_are_told_of(name: str, shared: bool) -> None:
    case = one_of_each()[name]
    model = model_of(case)
    free = model.free_posterior(case.batch)
    torch.testing.assert_close(free.q().mean, model.encode(case.batch).mean)
    assert free.has_shared == shared


def test_what_a_row_finds_does_not_depend_on_its_neighbours() -> None:
    case = random_linear_gaussian(1)

    def found(*batches: Batch) -> Best:
        return best_posteriors(case.model, batches, QUICK, 50)

    whole, halves = found(Batch(case.x)), found(Batch(case.x[:2]), Batch(case.x[2:]))
    torch.testing.assert_close(whole.log_w, halves.log_w, rtol=0, atol=1e-9)
    torch.testing.assert_close(whole.bounds, halves.bounds, rtol=0, atol=1e-9)


def test_what_it_cannot_do_is_refused() -> None:
    case = random_linear_gaussian(0)
    point = LatentVariableModel(case.model.prior, DeltaPosterior(Linear(6, 2), 2).double(), case.model.likelihood)
    with pytest.raises(CompositionError, match="point without a density"):
        best_posteriors(point, [Batch(case.x)])
    with pytest.raises(ConfigError, match="no rows"):
        best_posteriors(case.model, [])
    with pytest.raises(ConfigError, match="4 steps or more"):
        Search(steps=3)
    del case.model.posterior.network
    with pytest.raises(CompositionError, match="keeps no `network`"):
        best_posteriors(case.model, [Batch(case.x)])
