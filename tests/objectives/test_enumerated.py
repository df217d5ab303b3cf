"""Draws that are not of equal weight, penalties and a KL of what all rows share: bounds and gradients against sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import final

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.core import Abilities, Batch, Draw, Group, Model, Objective, Sides, Space, Terms
from nelbo.distributions import DiagonalNormal
from nelbo.distributions.one_hot import StraightThroughOneHot
from nelbo.errors import CompositionError
from nelbo.objectives import ELBO, IWAE, MCEM, PIWAE, ReweightedWakeSleep, WakeSleep
from nelbo.objectives.bounds import MultiplyImportanceWeighted, RenyiBound
from nelbo.objectives.discrepancy import MaximumMeanDiscrepancy
from nelbo.objectives.gradients import DoublyReparameterised, StickingTheLanding
from nelbo.objectives.importance import ImportanceObjective
from nelbo.objectives.regularisers import FreeBits
from nelbo.objectives.score import NVIL, VIMCO, Reinforce

ROWS = 5


@final
class TwoComponents(Model):
    """p(y) N(x; m_y, s^2), y one of two, all of it enumerated: log p(x) and every bound are sums of two terms."""

    abilities = Abilities(density=True, reparameterised=True, variance=True, stoppable=True, weighs_draws=True)
    scores_mass = False

    def __init__(self, shared: float | None = None, penalty: float | None = None) -> None:
        super().__init__({"y": Group(slice(0, 2), Space.ONE_HOT)})
        draw = np.random.default_rng(0).normal
        self.means = nn.Parameter(torch.tensor(draw(size=2)))
        self.log_scale = nn.Parameter(torch.tensor(draw(), dtype=torch.float64))
        self.prior = nn.Parameter(torch.tensor(draw(size=2)))
        self.recognise = nn.Linear(1, 2).double()
        self.shared, self.penalty = shared, penalty

    def sides(self) -> Sides:
        return Sides((), (), (self.recognise,))

    def prior_of(self, context: Tensor | None = None) -> StraightThroughOneHot:
        return StraightThroughOneHot(self.prior.unsqueeze(0), 1.0)

    def encode(self, batch: Batch) -> StraightThroughOneHot:
        return StraightThroughOneHot(self.recognise(batch.x).unsqueeze(1), 1.0)

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        return DiagonalNormal((z @ self.means).unsqueeze(-1), 2 * self.log_scale.expand(len(z), 1))

    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        t = (batch.x[:, 0] - z @ self.means) / self.log_scale.exp()
        return -0.5 * t.square() - self.log_scale - 0.5 * math.log(2 * math.pi)

    def mode(self, px: Distribution) -> Tensor:
        return px.mode

    def terms(self, batch: Batch, samples: int = 1, draw: Draw = Draw.PATHWISE, analytic: bool = False) -> Terms:
        q, p = self.encode(batch), self.prior_of()
        z = torch.eye(2, dtype=torch.float64).unsqueeze(1).expand(2, len(batch), 2)
        log_qy = q.log_prob(z)
        zero = torch.zeros_like(log_qy)  # nothing is drawn
        terms = Terms(z, self.log_px(z, batch), q, p.log_prob(z), zero, log_r=log_qy, log_qy=log_qy, p=p)
        if self.shared is not None:
            terms = replace(terms, shared=self.shared * self.means.square().sum())
        if self.penalty is not None:
            terms = replace(terms, penalties={"size": self.penalty * self.means.square().sum()})
        return terms


def batch() -> Batch:
    return Batch(torch.tensor(np.random.default_rng(1).normal(size=(ROWS, 1))))


def log_joint(model: TwoComponents, x: Tensor) -> Tensor:
    """log p(y) + log p(x given y), [2, B], from the parameters by the test's own formula."""
    peer = torch.distributions.Normal(model.means, model.log_scale.exp())
    return (torch.log_softmax(model.prior, 0) + peer.log_prob(x)).T  # type: ignore[no-untyped-call]


def q_of(model: TwoComponents, x: Tensor) -> Tensor:
    """q(y given x), [2, B]."""
    return torch.softmax(x @ model.recognise.weight.T + model.recognise.bias, -1).T


def elbo(model: TwoComponents, x: Tensor) -> Tensor:
    q = q_of(model, x)
    return (q * (log_joint(model, x) - q.log())).sum(0)


def evidence(model: TwoComponents, x: Tensor) -> Tensor:
    return torch.logsumexp(log_joint(model, x), 0)


def renyi(model: TwoComponents, x: Tensor) -> Tensor:
    q = q_of(model, x)
    return 2 * (q * (0.5 * (log_joint(model, x) - q.log())).exp()).sum(0).log()


BOUNDS: dict[str, tuple[Callable[[Model], Objective], Callable[[TwoComponents, Tensor], Tensor]]] = {
    "elbo": (ELBO, elbo),
    "elbo with three draws": (lambda model: ELBO(model, samples=3), elbo),
    "iwae": (lambda model: IWAE(model, samples=1), evidence),
    "renyi": (lambda model: ImportanceObjective(model, RenyiBound(0.5), samples=1), renyi),
    "reinforce": (lambda model: ELBO(model, gradient=Reinforce()), elbo),
    "vimco": (lambda model: ELBO(model, samples=2, gradient=VIMCO()), elbo),
    "nvil": (lambda model: ELBO(model, gradient=NVIL(nn.Linear(1, 1).double())), elbo),
}


def gradients(value: Tensor, model: Model) -> dict[str, Tensor]:
    named = dict(model.named_parameters())
    made = torch.autograd.grad(value, list(named.values()), allow_unused=True, materialize_grads=True)
    return dict(zip(named, made, strict=True))


@pytest.mark.parametrize("name", BOUNDS)
def test_bound_and_gradient_are_those_of_the_exact_sum(name: str) -> None:
    make, exact = BOUNDS[name]
    model, data = TwoComponents(), batch()
    loss = make(model).phases[0](data)
    expected = exact(model, data.x)
    torch.testing.assert_close(loss.bound, expected.detach(), rtol=0, atol=1e-12)
    truth = gradients(-expected.mean(), model)
    for parameter, found in gradients(loss.loss, model).items():
        torch.testing.assert_close(found, truth[parameter], rtol=0, atol=1e-12, msg=parameter)


GENERATIVE = ("means", "log_scale", "prior")


def test_wake_sleep_gives_the_model_the_gradient_of_the_lower_bound() -> None:
    model, data = TwoComponents(), batch()
    loss = WakeSleep(model).train()(data)
    torch.testing.assert_close(loss.bound, elbo(model, data.x).detach(), rtol=0, atol=1e-12)
    wake = loss.parts["likelihood"].mean() + loss.parts["kl"].mean()
    found, truth = gradients(wake, model), gradients(-elbo(model, data.x).mean(), model)
    for name in GENERATIVE:
        torch.testing.assert_close(found[name], truth[name], rtol=0, atol=1e-12)
    assert not found["recognise.weight"].any()


@pytest.mark.parametrize("make", [lambda model: ReweightedWakeSleep(model, 1, sleep=0.0), MCEM], ids=["rws", "mcem"])
def test_where_the_posterior_is_enumerated_the_model_gets_the_gradient_of_the_evidence(
    make: Callable[[Model], Objective],
) -> None:
    """And q that of the cross-entropy with p(y given x), exactly."""
    model, data = TwoComponents(), batch()
    objective = make(model).train()
    loss = objective.phases[0](data)
    posterior = torch.softmax(log_joint(model, data.x), 0).detach()
    cross = -(posterior * q_of(model, data.x).log()).sum(0).mean()
    truth = gradients(-evidence(model, data.x).mean(), model)
    of_q = gradients(cross, model)
    found = gradients(loss.loss, model)
    for name in found:
        torch.testing.assert_close(found[name], truth[name] + of_q[name], rtol=0, atol=1e-12, msg=name)


def test_free_bits_see_the_weighted_mean_of_the_kl() -> None:
    model, data = TwoComponents(), batch()
    q = q_of(model, data.x)
    kl = (q * (q.log() - torch.log_softmax(model.prior, 0).unsqueeze(1))).sum(0)
    loss = ELBO(model, regulariser=FreeBits(0.0, groups=1))(data)
    torch.testing.assert_close(loss.parts["free bits"], kl.mean(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda model: PIWAE(model, 4, 2),
        lambda model: ImportanceObjective(model, MultiplyImportanceWeighted(2), 4),
        lambda model: IWAE(model, 4, DoublyReparameterised()),
        lambda model: ELBO(model, regulariser=MaximumMeanDiscrepancy()),
    ],
    ids=["piwae", "multiply-iwae", "dreg", "mmd"],
)
def test_what_takes_draws_of_equal_weight_only_is_refused_when_it_is_built(make: Callable[[Model], Objective]) -> None:
    with pytest.raises(CompositionError, match="draws of equal weight"):
        make(TwoComponents())


def test_sticking_the_landing_has_the_same_mean_where_nothing_is_drawn() -> None:
    model, data = TwoComponents(), batch()
    loss = ELBO(model, gradient=StickingTheLanding())(data)
    truth = gradients(-elbo(model, data.x).mean(), model)
    for name, found in gradients(loss.loss, model).items():
        torch.testing.assert_close(found, truth[name], rtol=0, atol=1e-12, msg=name)


# What all rows share, and penalties.

EVERY: dict[str, Callable[[Model], Objective]] = {
    **{name: make for name, (make, _) in BOUNDS.items()},
    "wake-sleep": WakeSleep,
    "reweighted-wake-sleep": lambda model: ReweightedWakeSleep(model, 2),
    "mcem": MCEM,
}


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", EVERY)
def test_a_shared_kl_is_in_loss_and_bound_and_a_penalty_in_the_loss_alone(name: str, mode: bool) -> None:
    data = batch()

    def loss_of(model: TwoComponents) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        torch.manual_seed(0)
        loss = EVERY[name](model).train(mode).phases[0](data)
        assert loss.bound is not None
        torch.testing.assert_close(loss.loss, torch.stack([part.mean() for part in loss.parts.values()]).sum())
        return loss.loss.detach(), loss.bound, gradients(loss.loss + 0 * model.means.sum(), model)

    plain, shared, penalised = TwoComponents(), TwoComponents(shared=0.3), TwoComponents(penalty=0.7)
    for other in (shared, penalised):
        other.load_state_dict(plain.state_dict())
    size = float(plain.means.detach().square().sum())
    (loss, bound, slopes), (loss_s, bound_s, slopes_s), (loss_p, bound_p, _) = map(loss_of, (plain, shared, penalised))
    torch.testing.assert_close(loss_s - loss, torch.tensor(0.3 * size, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(bound - bound_s, torch.full_like(bound, 0.3 * size), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slopes_s["means"] - slopes["means"], 0.6 * plain.means.detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(loss_p - loss, torch.tensor(0.7 * size, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(bound_p, bound, rtol=0, atol=1e-12)


# A quadrature: the nodes are draws, their weights the sample weights.


@pytest.mark.parametrize("bound", ["elbo", "iwae"])
def test_nodes_of_a_quadrature_are_draws_with_weights(bound: str) -> None:
    """p(z) = N(0, 1), x given z ~ N(z, 1), q = N(m, s^2) at 64 Gauss-Hermite nodes: closed forms to 1e-6."""
    nodes, weights = (torch.tensor(each) for each in np.polynomial.hermite_e.hermegauss(64))
    log_r = (weights / weights.sum()).log().unsqueeze(1).expand(64, ROWS)
    x, m, s = batch().x[:, 0], torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.8, dtype=torch.float64)
    z = (m + s * nodes).unsqueeze(1).expand(64, ROWS)
    normal = torch.distributions.Normal
    log_px, log_pz = normal(z, 1.0).log_prob(x), normal(0.0, 1.0).log_prob(z)  # type: ignore[no-untyped-call]
    q = DiagonalNormal(m.expand(ROWS, 1), 2 * s.log().expand(ROWS, 1))
    terms = Terms(z.unsqueeze(-1), log_px, q, log_pz, q.log_prob(z.unsqueeze(-1)), log_r=log_r)
    if bound == "iwae":
        expected = normal(0.0, math.sqrt(2.0)).log_prob(x)  # type: ignore[no-untyped-call]
        found = torch.logsumexp(terms.log_weights + log_r, 0)
    else:
        likelihood = -0.5 * (math.log(2 * math.pi) + (x - m).square() + s**2)
        expected = likelihood - 0.5 * (m**2 + s**2 - 1 - 2 * s.log())
        found = terms.bound
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
