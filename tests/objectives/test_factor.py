"""FactorVAE: its two losses by hand, its density ratio against the closed form, and what each phase leaves alone."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import MultivariateNormal, Normal

from linear_gaussian import LinearGaussian, random_linear_gaussian
from nelbo.core import Batch
from nelbo.errors import CompositionError, ConfigError
from nelbo.networks import MLP
from nelbo.objectives import ELBO, FactorVAE
from nelbo.objectives.factor import DensityRatio, Discriminator, shuffled
from nelbo.settings import resolve
from nelbo.train import prepare
from nelbo.train.job import make_trainer
from zoo import SMALL, Case, rows_of


def test_the_models_loss_is_the_elbo_and_gamma_times_the_mean_logit() -> None:
    case = random_linear_gaussian(0)
    objective = FactorVAE(case.model, gamma=7.0, beta=2.0, samples=3, hidden=(5,)).double()
    torch.manual_seed(0)
    loss = objective.phases[0](Batch(case.x))
    torch.manual_seed(0)
    plain = ELBO(case.model, samples=3, beta=2.0)(Batch(case.x))
    torch.manual_seed(0)
    z = case.model.terms(Batch(case.x), 3, analytic=True).z
    logits = objective.discriminator.network(z.flatten(0, 1)).view(3, -1).mean(0)
    torch.testing.assert_close(loss.figures["total correlation"], logits.detach())
    torch.testing.assert_close(loss.loss, plain.loss + 7.0 * logits.mean())
    torch.testing.assert_close(loss.bound, plain.bound)


def test_the_discriminators_loss_is_the_cross_entropy_of_two_classes() -> None:
    case = random_linear_gaussian(0)
    network = MLP(2, 1, (5,)).double()
    torch.manual_seed(0)
    loss = Discriminator(network, case.model)(Batch(case.x))
    torch.manual_seed(0)
    codes, others = case.model.encode(Batch(case.x)).sample((2,))
    logits = network(torch.cat([codes, shuffled(others)])).squeeze(-1)
    target = torch.tensor([1.0] * 5 + [0.0] * 5).double()
    torch.testing.assert_close(loss.loss, F.binary_cross_entropy_with_logits(logits, target))
    assert loss.bound is None
    nn.init.zeros_(network.get_parameter("layers.2.weight"))
    nn.init.zeros_(network.get_parameter("layers.2.bias"))
    assert float(Discriminator(network, case.model)(Batch(case.x)).loss.detach()) == pytest.approx(math.log(2))


def test_shuffled_codes_keep_every_dimension_and_lose_what_ties_them() -> None:
    torch.manual_seed(0)
    z = torch.randn(20_000, 1).expand(-1, 3) + 0.1 * torch.randn(20_000, 3)
    mixed = shuffled(z)
    assert mixed.sort(0).values.equal(z.sort(0).values)
    apart = torch.corrcoef(mixed.T) - torch.eye(3)
    assert float(torch.corrcoef(z.T).min()) > 0.95
    assert float(apart.abs().max()) < 0.04


def correlated_codes() -> tuple[LinearGaussian, MultivariateNormal]:
    """A linear encoder of two latents, and the law of its codes for x ~ N(0, I)."""
    case = random_linear_gaussian(4, dims=4)
    with torch.no_grad():
        case.encoder.weight.copy_(torch.tensor([[1.0, 0.5, 0, 0], [1.0, -0.1, 0.3, 0], [0] * 4, [0] * 4]))
        case.encoder.bias.copy_(torch.tensor([0.5, -0.5, -1.5, -2.0]))
    variance = case.q()[1].detach()
    weight = case.encoder.weight.detach()[:2]
    return case, MultivariateNormal(case.encoder.bias.detach()[:2], weight @ weight.T + torch.diag(variance[0]))


def test_the_trained_density_ratio_is_the_total_correlation_of_gaussian_codes() -> None:
    case, codes = correlated_codes()
    closed = float(0.5 * (codes.variance.log().sum() - torch.logdet(codes.covariance_matrix)))
    assert closed > 0.3
    torch.manual_seed(0)
    network = MLP(2, 1, (64, 64), activation="leaky-relu").double()
    discriminator = Discriminator(network, case.model)
    adam = torch.optim.Adam(discriminator.parameters(), lr=3e-3)
    steps = 500
    for step in range(steps):
        adam.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        adam.zero_grad()
        loss = discriminator(Batch(torch.randn(512, 4, dtype=torch.float64))).loss
        loss.backward()
        adam.step()
    batch = Batch(torch.randn(20_000, 4, dtype=torch.float64))
    terms = case.model.terms(batch, analytic=True)
    (_, _), (gamma, estimate) = DensityRatio(network, 5.0)(terms, torch.zeros(20_000)).values()
    assert gamma == 5.0
    assert float(estimate.mean().detach()) == pytest.approx(closed, abs=0.05)
    z = codes.sample((2000,))
    marginals = Normal(codes.mean, codes.variance.sqrt())
    ratio = codes.log_prob(z) - marginals.log_prob(z).sum(-1)
    learned = network(z).squeeze(-1).detach()
    assert float(torch.corrcoef(torch.stack([ratio, learned]))[0, 1]) > 0.97


def test_each_phase_owns_its_part_and_registers_nothing_else() -> None:
    objective = FactorVAE(random_linear_gaussian(0).model, hidden=(5,)).double()
    vae, discriminator = objective.phases
    assert {name.partition(".")[0] for name, _ in vae.named_parameters()} == {"model"}
    assert {name.partition(".")[0] for name, _ in discriminator.named_parameters()} == {"network"}
    assert len(list(objective.parameters())) == len(list(vae.parameters())) + len(list(discriminator.parameters()))
    assert (vae.name, discriminator.name) == ("main", "discriminator")
    assert (discriminator.optimiser, discriminator.lr) == ("adam:betas=0.5+0.9", 1e-4)


def test_the_logits_gradient_moves_the_codes_and_not_the_discriminator() -> None:
    case = random_linear_gaussian(0)
    objective = FactorVAE(case.model, hidden=(5,)).double()
    loss = objective.phases[0](Batch(case.x))
    loss.parts["total correlation"].mean().backward()
    assert bool(case.encoder.weight.grad is not None and case.encoder.weight.grad.any())
    assert all(p.grad is None for p in objective.discriminator.parameters())


def test_the_discriminators_phase_leaves_running_statistics_alone() -> None:
    case = Case("", "levels", {"objective": "factor:hidden=5", "network": "conv"})
    objective = case.objective().train()
    before = copy.deepcopy(objective.state_dict())
    assert any("running_mean" in name for name in before)
    objective.phases[1](case.batch).loss.backward()
    assert all(value.equal(before[name]) for name, value in objective.state_dict().items())
    objective.phases[0](case.batch)
    assert not all(value.equal(before[name]) for name, value in objective.state_dict().items())


def test_a_warm_up_moves_beta() -> None:
    vae = FactorVAE(random_linear_gaussian(0).model, beta=3.0).phases[0]
    assert vae.warm_up(0.5) == {"beta": 1.5}


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"objective": "factor", "posterior": "delta"}, "needs a posterior with a density"),
        ({"objective": "factor:gamma=-1"}, "gamma must be 0 or more"),
        ({"objective": "factor:hidden=0"}, "layer sizes must be 1 or more"),
        ({"objective": "factor:gradient=stl"}, "no choice of gradient"),
        ({"objective": "factor:gama=2"}, "did you mean 'gamma'"),
    ],
)
def test_what_cannot_work_is_refused(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises((CompositionError, ConfigError), match=sentence):
        make_trainer(prepare(resolve(SMALL, settings), rows_of("binary")))


def test_any_latents_will_do() -> None:
    for prior, posterior in (("stick-breaking", "kumaraswamy"), ("standard", "iaf:steps=1,hidden=4")):
        case = Case("", "binary", {"objective": "factor:hidden=4", "prior": prior, "posterior": posterior})
        losses = [phase(case.batch).loss for phase in case.objective().phases]
        assert all(bool(torch.isfinite(loss)) for loss in losses)
