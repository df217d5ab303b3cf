"""What every posterior says of itself, against what it does."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch

from nelbo.core import Draw, Posterior, Prior
from nelbo.distributions import rsample_with_log_prob
from nelbo.errors import CompositionError
from nelbo.registry import build, registered
from nelbo.settings import resolve
from nelbo.train import Job, prepare
from zoo import rows_of

POSTERIORS = {name: cast("type[Posterior]", cls) for name, cls in registered("posterior")}
WITH_DENSITY = [name for name, cls in POSTERIORS.items() if cls.has_density]


def prepared(name: str, **settings: Any) -> Job:
    """A small job with this posterior and the first prior that suits it."""
    posterior = POSTERIORS[name]
    prior = next(
        prior
        for prior, cls in registered("prior")
        if cast("type[Prior]", cls).space is posterior.space
        and (posterior.has_variance or not cast("type[Prior]", cls).needs_variance)
        and prior != "conditional"
    )
    small = {"source": "levels", "latent": 4, "hidden": (6,), "epochs": 1, "prior": prior, "posterior": name}
    return prepare(resolve(small, settings), rows_of("levels"))


@pytest.mark.parametrize("name", POSTERIORS)
def test_it_can_hold_its_parameters_constant_where_it_says_so(name: str) -> None:
    posterior: Posterior = build(prepared(name).objective_spec["model"]["posterior"])
    q = posterior(torch.rand(3, 1, 8, 8))
    if not posterior.can_stop:
        with pytest.raises(CompositionError):
            rsample_with_log_prob(q, 2, Draw.STOPPED)
        return
    z, log_q = rsample_with_log_prob(q, 2, Draw.STOPPED)
    assert log_q is not None
    torch.testing.assert_close(log_q, q.log_prob(z))
    # With z given there is no way left to the parameters.
    held = q.stopped().log_prob(z.detach())  # type: ignore[attr-defined]
    assert q.log_prob(z.detach()).requires_grad
    assert not held.requires_grad


@pytest.mark.parametrize("name", POSTERIORS)
def test_its_draws_have_a_gradient_where_it_says_so(name: str) -> None:
    posterior: Posterior = build(prepared(name).objective_spec["model"]["posterior"])
    q = posterior(torch.rand(3, 1, 8, 8))
    if not posterior.is_reparameterised:
        with pytest.raises(CompositionError, match="no reparameterised draw"):
            rsample_with_log_prob(q, 2)
        return
    z, _ = rsample_with_log_prob(q, 2, density=False)
    assert z.requires_grad


@pytest.mark.parametrize("name", WITH_DENSITY)
@pytest.mark.parametrize("objective", ["elbo:gradient=stl", "elbo:gradient=dreg", "iwae:samples=3,gradient=dreg"])
def test_a_gradient_that_needs_its_parameters_held_is_refused_when_built_or_works(name: str, objective: str) -> None:
    job = prepared(name, objective=objective)
    if not POSTERIORS[name].can_stop:
        ways = r"use gradient=pathwise, or e\.g\. --posterior planar"
        if not POSTERIORS[name].is_reparameterised:
            ways = r"discrete; give a score function, e\.g\. --objective elbo:samples=5,gradient=vimco"
        with pytest.raises(CompositionError, match=ways):
            job.build()
        return
    built, batch = job.build(), next(iter(job.batches("train").fixed()))
    parameters = list(built.get_submodule("model.posterior").parameters())
    gradients = torch.autograd.grad(built(batch).loss, parameters, allow_unused=True)
    assert any(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients)


def test_some_can_and_some_cannot() -> None:
    assert POSTERIORS["planar"].can_stop  # which the refusal names
    assert not POSTERIORS["iaf"].can_stop
    assert not POSTERIORS["bernoulli"].is_reparameterised
    assert POSTERIORS["relaxed-bernoulli"].is_reparameterised  # which the refusal names
