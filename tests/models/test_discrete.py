"""The discrete counterpart of a relaxed model: the same parameters, the likelihood of a sum over all codes."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from binary_codes import BinaryModel, random_binary, random_rows, randomised, relaxed_binary
from linear_gaussian import linear_model
from nelbo.core import Batch
from nelbo.errors import CompositionError
from nelbo.evaluate import importance_log_likelihood
from nelbo.likelihoods import BernoulliLikelihood
from nelbo.models import LatentVariableModel
from nelbo.networks import Linear
from nelbo.posteriors import RelaxedCategoricalPosterior
from nelbo.priors import CategoricalPrior
from nelbo.registry import build, spec_of


def relaxed_categorical(seed: int, temperature: float, cells: int = 4) -> LatentVariableModel:
    """Two groups of three categories."""
    model = LatentVariableModel(
        CategoricalPrior(6, groups=2, temperature=temperature),
        RelaxedCategoricalPosterior(Linear(cells, 6), 6, groups=2, temperature=temperature),
        BernoulliLikelihood(Linear(6, cells), (cells,)),
    )
    return randomised(model, seed)


def evidence_of_one_hot(model: LatentVariableModel, x: Tensor) -> Tensor:
    """log (1/9) sum_z p(x given z) over the codes of two groups of three, by the decoder's parameters alone."""
    places = torch.tensor(list(itertools.product(range(3), repeat=2)))
    codes = F.one_hot(places, 3).flatten(-2).double()
    weight = model.get_parameter("likelihood.network.layer.weight")
    bias = model.get_parameter("likelihood.network.layer.bias")
    shares = torch.sigmoid(codes @ weight.T + bias).unsqueeze(1)
    mass = torch.where(x == 1, shares, 1 - shares).prod(-1)  # [9, B]
    return mass.mean(0).log().detach()


CASES = {"binary": relaxed_binary, "categorical": relaxed_categorical}
EVERY = pytest.mark.parametrize("kind", CASES)


def evidence(kind: str, model: LatentVariableModel, x: Tensor) -> Tensor:
    if kind == "categorical":
        return evidence_of_one_hot(model, x)
    return BinaryModel(model.discrete(), x).evidence().detach()


@EVERY
def test_it_shares_every_parameter_and_its_networks(kind: str) -> None:
    relaxed = CASES[kind](0, 0.5).eval()
    discrete = relaxed.discrete()
    assert {id(p) for p in discrete.parameters()} == {id(p) for p in relaxed.parameters()}
    assert discrete.likelihood is relaxed.likelihood
    assert not any(module.training for module in discrete.modules())
    assert spec_of(build(spec_of(discrete))) == spec_of(discrete)


@EVERY
def test_its_likelihood_is_that_of_the_sum_over_all_codes(kind: str) -> None:
    model, x = CASES[kind](1, 3.0).eval(), random_rows(1, 5, 4)
    estimate = importance_log_likelihood(model.discrete(), [Batch(x)], 20_000)
    exact = evidence(kind, model, x)
    assert estimate.monte_carlo_error < 0.03
    assert abs(float((estimate.log_likelihood - exact).mean())) < 4.5 * estimate.monte_carlo_error
    relaxed = importance_log_likelihood(model, [Batch(x)], 20_000)
    gap = abs(float((relaxed.log_likelihood - exact).mean()))
    assert gap > 4.5 * relaxed.monte_carlo_error, "soft codes are another model: the test has no power"


@EVERY
def test_a_cold_relaxation_has_the_likelihood_of_its_counterpart(kind: str) -> None:
    model, x = CASES[kind](2, 1e-3).eval(), random_rows(2, 5, 4)
    estimate = importance_log_likelihood(model, [Batch(x)], 20_000)
    assert estimate.monte_carlo_error < 0.05
    exact = evidence(kind, model, x)
    assert abs(float((estimate.log_likelihood - exact).mean())) < 4.5 * estimate.monte_carlo_error


def test_fixed_log_odds_are_kept() -> None:
    from nelbo.priors import RelaxedBernoulliPrior

    prior = RelaxedBernoulliPrior(3, probability=0.2).discrete()
    torch.testing.assert_close(prior().mean, torch.full((3,), 0.2))
    assert not list(prior.parameters())


def test_what_relaxes_nothing_is_refused() -> None:
    with pytest.raises(CompositionError, match=r"'standard' is over real vectors, .* leave --discrete out"):
        linear_model(4, 2).discrete()
    with pytest.raises(CompositionError, match=r"'bernoulli' is over binary codes, .*--prior relaxed-bernoulli"):
        random_binary(0).model.discrete()
