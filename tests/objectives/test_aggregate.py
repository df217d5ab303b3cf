"""A prior fitted to codes: the aggregate posterior's moments, and nothing else moves."""

from __future__ import annotations

import pytest
import torch

from linear_gaussian import random_linear_gaussian
from nelbo.core import Batch
from nelbo.errors import CompositionError
from nelbo.objectives import AggregatePosterior
from nelbo.priors import NormalPrior


def test_a_fitted_normal_has_the_moments_of_the_aggregate_posterior() -> None:
    case = random_linear_gaussian(0, rows=400)
    prior = case.model.prior = NormalPrior(2).double()
    objective = AggregatePosterior(case.model)
    optimiser = torch.optim.Adam(prior.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 300)
    for _ in range(300):
        optimiser.zero_grad()
        objective(Batch(case.x)).loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    loc, variance = case.q()  # from the parameters, by the test's own formulas
    torch.testing.assert_close(prior().mean, loc.mean(0), rtol=0, atol=0.05)
    torch.testing.assert_close(prior().variance, variance.mean(0) + loc.var(0, correction=0), rtol=0.05, atol=0)


def test_the_loss_is_the_cross_entropy_with_the_aggregate_posterior() -> None:
    case = random_linear_gaussian(1, rows=50)
    case.model.prior = NormalPrior(2).double()
    objective = AggregatePosterior(case.model)
    batch = Batch(case.x.repeat(400, 1))
    loss = objective(batch)
    loc, variance = case.q()
    exact = 0.5 * (loc.square() + variance).sum(-1).mean() + torch.log(torch.tensor(2 * torch.pi))
    error = float(loss.parts["prior"].detach().std()) / len(batch) ** 0.5
    assert abs(float((loss.loss - exact).detach())) < 4.5 * error
    assert loss.bound is None


def test_only_the_prior_is_owned_and_trained() -> None:
    case = random_linear_gaussian(2)
    prior = case.model.prior = NormalPrior(2).double()
    objective = AggregatePosterior(case.model).train()
    assert [id(p) for p in objective.parameters() if p.requires_grad] == [id(p) for p in prior.parameters()]
    assert prior.training
    assert not case.model.posterior.training
    objective(Batch(case.x)).loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.any()) for p in prior.parameters())
    assert all(p.grad is None for p in case.model.posterior.parameters())


def test_a_prior_without_parameters_is_refused() -> None:
    with pytest.raises(CompositionError, match="nothing to fit"):
        AggregatePosterior(random_linear_gaussian(0).model)
