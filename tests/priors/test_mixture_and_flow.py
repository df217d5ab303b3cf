"""Mixture, flow and stick-breaking priors: densities that integrate to one, draws that follow them, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from nelbo.core import Prior
from nelbo.errors import ConfigError
from nelbo.priors import FlowPrior, MixturePrior, StickBreakingPrior

GRID = 601


def real_priors() -> list[Prior]:
    torch.manual_seed(0)
    flows = [FlowPrior(2, kind, transforms=2, hidden=16) for kind in ("maf", "coupling", "spline")]
    return [MixturePrior(2, 5), *flows]


@pytest.mark.parametrize("prior", real_priors(), ids=["mixture", "maf", "coupling", "spline"])
def test_the_density_integrates_to_one(prior: Prior) -> None:
    with torch.no_grad():
        for p in prior.parameters():
            p.add_(0.2 * torch.randn_like(p))  # away from the start, where a flow is nearly the identity
        axis = torch.linspace(-12, 12, GRID)
        z = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
        total = float(prior().log_prob(z).double().exp().sum()) * float(axis[1] - axis[0]) ** 2
    assert total == pytest.approx(1.0, abs=5e-3)


@pytest.mark.parametrize("prior", real_priors(), ids=["mixture", "maf", "coupling", "spline"])
def test_draws_score_what_the_entropy_says(prior: Prior) -> None:
    """The mean log density of draws is minus the entropy, here by quadrature."""
    torch.manual_seed(1)
    with torch.no_grad():
        axis = torch.linspace(-12, 12, GRID)
        z = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
        log_p = prior().log_prob(z).double()
        expected = float((log_p.exp() * log_p).sum()) * float(axis[1] - axis[0]) ** 2
        scores = prior().log_prob(prior().sample((4_000,))).double()
    assert float(scores.mean()) == pytest.approx(expected, abs=4.5 * float(scores.std()) / 4_000**0.5 + 5e-3)


@pytest.mark.parametrize("prior", real_priors(), ids=["mixture", "maf", "coupling", "spline"])
def test_gradients_reach_every_parameter(prior: Prior) -> None:
    prior().log_prob(torch.randn(20, 2)).sum().backward()
    silent = [name for name, p in prior.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert silent == []


def test_a_flow_prior_can_depend_on_a_context() -> None:
    torch.manual_seed(0)
    prior, z = FlowPrior(2, context=3, hidden=16), torch.randn(5, 2)
    one, other = prior(torch.zeros(5, 3)), prior(torch.ones(5, 3))
    assert one.log_prob(z).shape == (5,)
    assert not torch.equal(one.log_prob(z), other.log_prob(z))


def test_a_flow_prior_passes_a_nan_on() -> None:
    """A diverging training is named by the trainer, not by a check of torch's that prints the tensor."""
    assert bool(FlowPrior(2)().log_prob(torch.full((3, 2), torch.nan)).isnan().all())


def test_zuko_leaves_torchs_distributions_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    # On, whatever ran before: torch's compiler turns it off for the whole process.
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", True)
    FlowPrior(2)().sample()
    with pytest.raises(ValueError, match="Expected parameter"):
        torch.distributions.Normal(0.0, -1.0)


def test_sticks_are_betas_and_weights_break_them() -> None:
    torch.manual_seed(0)
    prior = StickBreakingPrior(3, concentration=5.0)
    sticks = prior().sample((20_000,))
    for k in range(3):
        assert stats.kstest(sticks[:, k].double().numpy(), stats.beta(1, 5).cdf).pvalue > 1e-4
    weights = prior.code(sticks)
    v = sticks.double().numpy()
    expected = np.stack([v[:, 0], v[:, 1] * (1 - v[:, 0]), v[:, 2] * (1 - v[:, 0]) * (1 - v[:, 1])], 1)
    np.testing.assert_allclose(weights, expected, rtol=1e-4, atol=1e-6)
    # E[pi_k] = 1 / (1 + a) (a / (1 + a))^(k-1)
    np.testing.assert_allclose(weights.mean(0), [1 / 6 * (5 / 6) ** k for k in range(3)], atol=0.006)


def test_the_last_weights_are_positive_however_many_sticks() -> None:
    weights = StickBreakingPrior(200, 0.5).code(StickBreakingPrior(200, 0.5)().sample((10,)))
    assert bool((weights >= 0).all())
    assert bool((weights.sum(-1) <= 1 + 1e-5).all())


@pytest.mark.parametrize("make", [lambda: MixturePrior(0), lambda: FlowPrior(2, transforms=0)])
def test_nothing_is_made_of_nothing(make: type[nn.Module]) -> None:
    with pytest.raises(ConfigError, match="or more"):
        make()


def test_an_unknown_kind_of_flow_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'spline'"):
        FlowPrior(2, "splines")  # type: ignore[arg-type]
