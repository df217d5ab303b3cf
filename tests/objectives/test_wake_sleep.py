"""Wake-sleep and its reweighted form, on linear Gaussian models where posterior and evidence are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from linear_gaussian import LinearGaussian, at_the_optimum, near_the_posterior, random_linear_gaussian
from nelbo.core import Batch, SinglePhase
from nelbo.errors import ConfigError
from nelbo.objectives import ELBO, Pathwise, ReweightedWakeSleep, SampledKL, WakeSleep
from nelbo.objectives.wake_sleep import dreamt

MODEL = ("likelihood.network.layer.weight", "likelihood.network.layer.bias")
ENCODER = ("posterior.network.layer.weight", "posterior.network.layer.bias")


def exact() -> LinearGaussian:
    """A model whose q is its posterior."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.linalg.qr(torch.randn(5, 2, generator=generator, dtype=torch.float64))[0] * torch.tensor([2.0, 0.7])
    mean = torch.randn(5, generator=generator, dtype=torch.float64)
    return at_the_optimum(torch.randn(4, 5, generator=generator, dtype=torch.float64), mean, weight, 0.5)


def repeated(case: LinearGaussian, times: int) -> Batch:
    return Batch(case.x.repeat(times, 1))


def gradients(objective: SinglePhase, batch: Batch, names: tuple[str, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    objective.zero_grad()
    objective(batch).loss.backward()
    found = dict(objective.get_submodule("model").named_parameters())
    return [found[name].grad.clone() for name in names]


def test_the_wake_phase_gives_the_model_the_gradient_of_the_lower_bound() -> None:
    """For parameters of p the draws need no derivative: wake-sleep and the ELBO agree but for the noise."""
    case = near_the_posterior(0)
    batch = repeated(case, 20_000)
    wake = gradients(WakeSleep(case.model).train(), batch, MODEL)
    elbo = gradients(ELBO(case.model, kl=SampledKL(), gradient=Pathwise()), batch, MODEL)
    exact_gradient = torch.autograd.grad(
        -case.elbo().mean(), [dict(case.model.named_parameters())[name] for name in MODEL]
    )
    for one, other, truth in zip(wake, elbo, exact_gradient, strict=True):
        assert torch.allclose(one, truth, atol=0.02 * float(truth.abs().max()))
        assert torch.allclose(other, truth, atol=0.02 * float(truth.abs().max()))


def test_the_surprise_of_dreams_is_the_entropy_of_the_posterior_where_q_is_it() -> None:
    """E_p(x, z)[-log p(z given x)] = the entropy of p(z given x), which is that of a Gaussian."""
    case = exact()
    torch.manual_seed(0)
    surprise = dreamt(case.model, repeated(case, 5_000), 2).detach()
    error = float(surprise.std() / math.sqrt(len(surprise)))
    assert error < 0.01
    assert abs(float(surprise.mean() - case.posterior().entropy()[0])) < 4 * error


def test_elsewhere_it_is_larger_by_the_divergence_from_the_posterior() -> None:
    case = near_the_posterior(1)
    torch.manual_seed(1)
    with torch.no_grad():
        rows = 40_000
        z = torch.randn(rows, 1, dtype=torch.float64)
        x = case.model.decode(z).sample()
        there = LinearGaussian(case.model, x)
        loc, variance = there.q()
        posterior = there.posterior()
        wide = MultivariateNormal(posterior.loc, posterior.covariance_matrix.expand(rows, -1, -1))
        cross = kl_divergence(wide, MultivariateNormal(loc, torch.diag_embed(variance)))
        expected = float(cross.mean() + posterior.entropy()[0])
        surprise = dreamt(case.model, Batch(x), 1)
    errors = math.hypot(float(cross.std()), float(surprise.std())) / math.sqrt(rows)
    assert abs(float(surprise.mean()) - expected) < 4 * errors
    assert errors < 0.1 * float(cross.mean())


def test_dreams_move_the_recognition_model_alone() -> None:
    case = random_linear_gaussian(2)
    case.model.zero_grad()
    dreamt(case.model, Batch(case.x), 3).mean().backward()
    moved = {name for name, p in case.model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert moved == set(ENCODER)


def test_the_wake_phase_moves_the_generative_model_alone() -> None:
    """Were log q not held, its score would add noise without a mean, which no mean over draws tells."""
    case = random_linear_gaussian(2)
    case.model.zero_grad()
    parts = WakeSleep(case.model).train()(Batch(case.x)).parts
    (parts["likelihood"] + parts["kl"]).mean().backward()
    moved = {name for name, p in case.model.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert moved >= set(MODEL)
    assert not moved & set(ENCODER)


@pytest.mark.parametrize("sleep", [0.0, 0.5, 1.0])
def test_reweighted_wake_sleep_stands_still_where_q_is_the_posterior(sleep: float) -> None:
    """All weights are equal there: the bound is the evidence, and the mean update of q is nothing."""
    case = exact()
    objective = ReweightedWakeSleep(case.model, samples=4, sleep=sleep).train()
    batch = repeated(case, 20_000)
    loss = objective(batch)
    assert torch.allclose(loss.bound.view(-1, len(case.x)), case.evidence().expand(20_000, -1), atol=1e-8)
    still = gradients(objective, batch, ENCODER)
    with torch.no_grad():
        case.encoder.bias.add_(0.3)
    moving = gradients(objective, batch, ENCODER)
    assert max(float(g.abs().max()) for g in still) < 0.1 * max(float(g.abs().max()) for g in moving)


def test_its_wake_phase_gives_the_model_the_gradient_of_the_importance_weighted_bound() -> None:
    case = near_the_posterior(4)
    parameters = [dict(case.model.named_parameters())[name] for name in MODEL]
    value = case.expected(lambda log_w: torch.logsumexp(log_w, 0) - math.log(2), 2)
    truth = torch.autograd.grad(-value.mean(), parameters)
    found = gradients(ReweightedWakeSleep(case.model, samples=2).train(), repeated(case, 40_000), MODEL)
    for one, other in zip(found, truth, strict=True):
        assert torch.allclose(one, other, atol=0.02 * float(other.abs().max()))


def test_in_evaluation_the_loss_is_the_bound_alone() -> None:
    case = random_linear_gaussian(5)
    for objective in (WakeSleep(case.model), ReweightedWakeSleep(case.model, samples=3)):
        loss = objective.eval()(Batch(case.x))
        assert float(loss.loss.detach()) == pytest.approx(-float(loss.bound.mean()))
        assert "sleep" not in loss.parts


@pytest.mark.parametrize(("samples", "sleep", "words"), [(0, 0.5, "1 draw of z or more"), (2, 1.5, "between 0 and 1")])
def test_settings_out_of_range_are_refused(samples: int, sleep: float, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ReweightedWakeSleep(random_linear_gaussian(0).model, samples=samples, sleep=sleep)
