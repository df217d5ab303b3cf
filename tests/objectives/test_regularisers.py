"""How the KL enters the loss: by hand, and what stays the bound."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from linear_gaussian import LinearGaussian, random_linear_gaussian
from nelbo.core import Batch, Phase, Terms
from nelbo.distributions import StandardNormal
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives import (
    ELBO,
    NVIL,
    VIMCO,
    Capacity,
    FreeBits,
    Regulariser,
    SampledKL,
    StickingTheLanding,
    WeightedKL,
)
from nelbo.settings import resolve
from nelbo.train import prepare
from nelbo.train.job import make_trainer
from zoo import SMALL, rows_of

RATES = torch.tensor([[1.0, 0.2], [0.1, 0.3], [2.0, 4.0], [0.0, 0.4]])  # [D, B]; means 0.6, 0.2, 3.0, 0.2


def said(rates: Tensor = RATES) -> tuple[Terms, Tensor]:
    """Terms with these rates per latent, and the KL of each row."""
    z = torch.zeros(1, rates.shape[1], rates.shape[0])
    return Terms(z, torch.zeros(1, rates.shape[1]), StandardNormal(4, z), kl=rates.unsqueeze(1)), rates.sum(0)


def value(regulariser: Regulariser, rates: Tensor = RATES) -> float:
    """What is added to the loss."""
    return sum(float(weight) * float(value.mean()) for weight, value in regulariser(*said(rates)).values())


# Free bits.


@pytest.mark.parametrize(
    ("nats", "groups", "by_hand"),
    [
        (0.5, 0, 0.6 + 0.5 + 3.0 + 0.5),
        (0.0, 0, 4.0),
        (0.9, 2, 0.9 + 3.2),
        (0.7, 2, 0.8 + 3.2),
        (3.9, 1, 4.0),
        (4.5, 1, 4.5),
    ],
)
def test_free_bits_add_up_as_by_hand(nats: float, groups: int, by_hand: float) -> None:
    assert value(FreeBits(nats, groups)) == pytest.approx(by_hand)
    assert value(FreeBits(nats, groups, beta=3.0)) == pytest.approx(3 * by_hand)


def test_a_group_below_its_free_bits_has_no_gradient_and_others_have_that_of_the_mean() -> None:
    rates = RATES.clone().requires_grad_()
    terms, kl = said(rates)
    (weight, charged), *_ = FreeBits(0.5)(terms, kl).values()
    (gradient,) = torch.autograd.grad(weight * charged, rates)
    torch.testing.assert_close(gradient, torch.tensor([[0.5], [0.0], [0.5], [0.0]]).expand(4, 2))


def rates_of(case: LinearGaussian) -> Tensor:
    """The KL of each latent and row, by torch's own formula."""
    loc, variance = case.q()
    return kl_divergence(Normal(loc, variance.sqrt()), Normal(torch.zeros_like(loc), torch.ones_like(loc)))


@pytest.mark.parametrize("nats", [0.0, 0.3, 2.0, 50.0])
def test_free_bits_change_the_loss_and_never_the_bound(nats: float) -> None:
    case = random_linear_gaussian(0)
    torch.manual_seed(0)
    plain = ELBO(case.model, samples=2)(Batch(case.x))
    torch.manual_seed(0)
    loss = ELBO(case.model, samples=2, regulariser=FreeBits(nats))(Batch(case.x))
    charged = rates_of(case).mean(0).clamp(min=nats).sum()
    torch.testing.assert_close(loss.loss, plain.parts["likelihood"].mean() + charged)
    torch.testing.assert_close(loss.bound, plain.bound)
    torch.testing.assert_close(loss.figures["kl"], plain.figures["kl"])
    torch.testing.assert_close(loss.figures["kl"], rates_of(case).sum(1))


def test_without_free_bits_it_is_the_elbo_with_its_gradient() -> None:
    case = random_linear_gaussian(1)
    gradients = []
    for objective in (ELBO(case.model), ELBO(case.model, regulariser=FreeBits(0.0))):
        torch.manual_seed(0)
        gradients.append(torch.autograd.grad(objective(Batch(case.x)).loss, list(case.model.parameters())))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_free_bits_of_the_total_take_any_estimate_of_it() -> None:
    case = random_linear_gaussian(2)
    for objective in (
        ELBO(case.model, samples=3, kl=SampledKL(), regulariser=FreeBits(0.1, groups=1)),
        ELBO(case.model, samples=3, gradient=StickingTheLanding(), regulariser=FreeBits(0.1, groups=1)),
    ):
        torch.manual_seed(0)
        loss = objective(Batch(case.x))
        assert float(loss.parts["free bits"].detach()) == pytest.approx(max(0.1, float(loss.figures["kl"].mean())))
    with pytest.raises(CompositionError, match="free-bits:groups=1"):
        ELBO(case.model, kl=SampledKL(), regulariser=FreeBits(0.1))(Batch(case.x))


# Capacity.


@pytest.mark.parametrize(
    ("share", "by_hand"), [(1.0, 2.0 * (5.0 - 4.0)), (0.5, 2.0 * (4.0 - 2.5)), (0.8, 0.0), (0.0, 8.0)]
)
def test_the_distance_from_a_rising_capacity_is_as_by_hand(share: float, by_hand: float) -> None:
    capacity = Capacity(nats=5.0, gamma=2.0)
    assert capacity.warm_up(share) == {"capacity": pytest.approx(5.0 * share)}
    assert value(capacity) == pytest.approx(by_hand, abs=1e-6)


def test_the_gradient_raises_a_kl_below_the_capacity_and_lowers_one_above() -> None:
    for nats, sign in ((5.0, -1.0), (3.0, 1.0)):
        rates = RATES.clone().requires_grad_()
        ((weight, distance),) = Capacity(nats, gamma=2.0)(*said(rates)).values()
        (gradient,) = torch.autograd.grad(weight * distance, rates)
        torch.testing.assert_close(gradient, torch.full((4, 2), sign * 2.0 / 2))  # gamma over the rows


@pytest.mark.parametrize("nats", [0.7, 4.0])
def test_training_ends_at_the_capacity(nats: float) -> None:
    case = random_linear_gaussian(3, rows=40)
    objective = ELBO(case.model, regulariser=Capacity(nats, gamma=20.0))
    adam = torch.optim.Adam(objective.parameters(), lr=0.02)
    for step in range(600):
        adam.param_groups[0]["lr"] = 0.02 * (1 - step / 600)
        adam.zero_grad()
        objective(Batch(case.x)).loss.backward()
        adam.step()
    assert float(rates_of(case).sum(1).mean().detach()) == pytest.approx(nats, abs=0.02)


def test_the_capacity_leaves_the_bound() -> None:
    case = random_linear_gaussian(0)
    bounds = []
    for regulariser in (None, Capacity(7.0)):
        torch.manual_seed(0)
        bounds.append(ELBO(case.model, regulariser=regulariser)(Batch(case.x)).bound)
    torch.testing.assert_close(bounds[0], bounds[1])


# Weights, and what goes with what.


def test_a_warm_up_moves_weights_by_their_names_and_back() -> None:
    case = random_linear_gaussian(0)
    for objective, name, final in (
        (ELBO(case.model, beta=4.0), "beta", 4.0),
        (ELBO(case.model, regulariser=FreeBits(beta=2.0)), "beta", 2.0),
        (ELBO(case.model, regulariser=Capacity(30.0)), "capacity", 30.0),
    ):
        for share in (0.0, 0.25, 1.0):
            assert objective.warm_up(share) == {name: final * share}
            assert sorted(float(buffer) for _, buffer in objective.regulariser.named_buffers()) == [final * share]


def test_an_objective_without_such_weights_names_none() -> None:
    assert dict(Phase.warm_up(ELBO(random_linear_gaussian(0).model), 0.5)) == {}


def test_a_score_function_suits_the_weighted_kl_alone() -> None:
    model = random_linear_gaussian(0).model
    ELBO(model, samples=2, gradient=VIMCO(), regulariser=WeightedKL(2.0))
    for regulariser in (FreeBits(), Capacity()):
        with pytest.raises(CompositionError, match="leave gradient out"):
            ELBO(model, gradient=NVIL(torch.nn.Linear(6, 1)), regulariser=regulariser)


@pytest.mark.parametrize("number", [-1.0, math.nan])
def test_numbers_out_of_range_are_refused(number: float) -> None:
    for make in (
        lambda: FreeBits(number),
        lambda: FreeBits(beta=number),
        lambda: Capacity(number),
        lambda: Capacity(gamma=number),
        lambda: WeightedKL(number),
    ):
        with pytest.raises(ConfigError, match=r"0 (nats )?or more"):
            make()
    with pytest.raises(ConfigError, match="groups=-2"):
        FreeBits(groups=-2)
    with pytest.raises(ConfigError, match="give beta to that one"):
        ELBO(random_linear_gaussian(0).model, beta=2.0, regulariser=FreeBits())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"objective": "free-bits", "prior": "vamp:components=3"}, "free-bits:groups=1"),
        ({"objective": "free-bits:groups=3"}, "2 latents cannot be put into 3 groups"),
        ({"objective": "free-bits", "posterior": "delta"}, "needs a posterior with a density"),
        ({"objective": "free-bits:nat=1"}, "did you mean 'nats'"),
        ({"objective": "capacity:beta=2"}, "unknown option of objective/capacity: 'beta'"),
        ({"objective": "capacity", "beta": 2.0}, "so --beta means nothing"),
        ({"objective": "capacity:gradient=reinforce"}, "leave gradient out"),
        ({"objective": "free-bits:kl=analytic,gradient=stl,groups=1"}, "leave kl=analytic out"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_trained(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises((CompositionError, ConfigError), match=sentence) as refused:
        make_trainer(prepare(resolve(SMALL, settings), rows_of("binary")))
    assert "\n" not in str(refused.value)


def test_beta_of_the_command_line_is_that_of_the_regulariser() -> None:
    job = prepare(resolve(SMALL, {"objective": "free-bits:nats=0.2", "beta": 3.0}), rows_of("binary"))
    assert job.objective_spec["regulariser"] == {"part": "regulariser/free-bits", "nats": 0.2, "beta": 3.0}
    assert job.build().phases[0].warm_up(1.0) == {"beta": 3.0}
