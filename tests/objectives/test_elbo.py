"""The evidence lower bound: its two estimators, its weight, and what is loss and what is bound."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.distributions import Distribution

from linear_gaussian import random_linear_gaussian
from nelbo.core import Abilities, Batch, Group, Model, Sides, Space, Terms
from nelbo.distributions import StandardNormal
from nelbo.errors import ConfigError
from nelbo.objectives import ELBO, AnalyticKL, SampledKL
from nelbo.objectives.elbo import KLEstimator

ESTIMATORS = pytest.mark.parametrize("kl", [SampledKL, AnalyticKL], ids=["SGVB-A", "SGVB-B"])


class Fixed(Model):
    """A model that always says the same."""

    def __init__(self, terms: Terms) -> None:
        super().__init__({"z": Group(slice(0, 1), Space.REAL)})
        self.said = terms
        self.asked: dict[str, object] = {}

    @property
    def abilities(self) -> Abilities:
        return Abilities(density=True, reparameterised=True, variance=True, stoppable=True)

    @property
    def scores_mass(self) -> bool:
        return False

    def sides(self) -> Sides:
        return Sides((), (), ())

    def prior_of(self, context: Tensor | None = None) -> Distribution:
        raise NotImplementedError

    def encode(self, batch: Batch) -> Distribution:
        raise NotImplementedError

    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        raise NotImplementedError

    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        raise NotImplementedError

    def mode(self, px: Distribution) -> Tensor:
        raise NotImplementedError

    def terms(self, batch: Batch, samples: int = 1, draw: object = None, analytic: bool = False) -> Terms:
        self.asked = {"samples": samples, "analytic": analytic}
        return self.said


def said(penalties: Mapping[str, Tensor] | None = None, analytic: bool = False) -> Terms:
    """K = 2 draws of B = 3 rows with numbers to add up by hand."""
    numbers = torch.arange(6.0).view(2, 3)
    densities = {"log_pz": -numbers, "log_qz": 0.5 * numbers}
    closed = {"kl": torch.tensor([[[1.0, 2.0, 3.0]], [[0.5, 0.5, 0.5]]])}
    return Terms(
        torch.zeros(2, 3, 1),
        -10 - numbers,
        StandardNormal(1, numbers),
        penalties=penalties or {},
        **(closed if analytic else densities),
    )


BATCH = Batch(torch.zeros(3, 1))


def test_sampled_numbers_add_up_as_by_hand() -> None:
    # Means over draws: log p(x|z) = -11.5, -12.5, -13.5; log q - log p = 1.5 times 1.5, 2.5, 3.5.
    loss = ELBO(Fixed(said()), samples=2, kl=SampledKL(), beta=2.0)(BATCH)
    torch.testing.assert_close(loss.parts["likelihood"], torch.tensor([11.5, 12.5, 13.5]))
    torch.testing.assert_close(loss.parts["kl"], 2 * torch.tensor([2.25, 3.75, 5.25]))
    torch.testing.assert_close(loss.loss, torch.tensor(12.5 + 2 * 3.75))
    torch.testing.assert_close(loss.bound, torch.tensor([-13.75, -16.25, -18.75]))


def test_analytic_numbers_add_up_as_by_hand() -> None:
    loss = ELBO(Fixed(said(analytic=True)), kl=AnalyticKL(), beta=0.5)(BATCH)
    torch.testing.assert_close(loss.parts["kl"], 0.5 * torch.tensor([1.5, 2.5, 3.5]))
    torch.testing.assert_close(loss.loss, torch.tensor(12.5 + 0.5 * 2.5))
    torch.testing.assert_close(loss.bound, torch.tensor([-13.0, -15.0, -17.0]))


def test_a_model_without_a_closed_form_falls_back_on_its_draws() -> None:
    fallback, sampled = (ELBO(Fixed(said()), kl=kl)(BATCH) for kl in (AnalyticKL(), SampledKL()))
    torch.testing.assert_close(fallback.loss, sampled.loss)


def test_penalties_enter_the_loss_and_never_the_bound() -> None:
    plain = ELBO(Fixed(said()))(BATCH)
    penalised = ELBO(Fixed(said({"commitment": torch.tensor([1.0, 2.0, 3.0])})))(BATCH)
    torch.testing.assert_close(penalised.loss, plain.loss + 2.0)
    torch.testing.assert_close(penalised.bound, plain.bound)
    assert set(penalised.parts) == {"likelihood", "kl", "commitment"}


@ESTIMATORS
def test_the_model_is_asked_for_what_the_estimator_reads(kl: type[KLEstimator]) -> None:
    model = Fixed(said())
    ELBO(model, samples=7, kl=kl())(BATCH)
    assert model.asked == {"samples": 7, "analytic": kl is AnalyticKL}


@ESTIMATORS
@pytest.mark.parametrize("beta", [0.0, 0.3, 1.0, 4.0])
def test_beta_moves_the_loss_and_leaves_the_bound(kl: type[KLEstimator], beta: float) -> None:
    case = random_linear_gaussian(0)
    torch.manual_seed(0)
    plain = ELBO(case.model, samples=3, kl=kl())(Batch(case.x))
    torch.manual_seed(0)
    weighted = ELBO(case.model, samples=3, kl=kl(), beta=beta)(Batch(case.x))
    torch.testing.assert_close(weighted.bound, plain.bound)
    torch.testing.assert_close(weighted.parts["kl"], beta * plain.parts["kl"])
    torch.testing.assert_close(weighted.loss, plain.loss + (beta - 1) * plain.parts["kl"].mean())


@ESTIMATORS
def test_parts_sum_to_the_loss_and_carry_its_gradient(kl: type[KLEstimator]) -> None:
    case = random_linear_gaussian(1)
    parameters = list(case.model.parameters())
    loss = ELBO(case.model, kl=kl(), beta=2.0)(Batch(case.x))
    total = torch.stack([part.mean() for part in loss.parts.values()]).sum()
    torch.testing.assert_close(total, loss.loss)
    one = torch.autograd.grad(total, parameters, retain_graph=True)
    for g, h in zip(one, torch.autograd.grad(loss.loss, parameters), strict=True):
        torch.testing.assert_close(g, h)


def test_both_estimators_agree_in_expectation_and_the_analytic_one_varies_less_in_the_kl() -> None:
    case = random_linear_gaussian(2)
    values: dict[type, Tensor] = {}
    for kl in (SampledKL, AnalyticKL):
        torch.manual_seed(0)
        objective = ELBO(case.model, samples=50, kl=kl())
        values[kl] = torch.stack([objective(Batch(case.x)).parts["kl"].detach() for _ in range(400)])
    sampled, analytic = values[SampledKL], values[AnalyticKL]
    error = sampled.std(0) / math.sqrt(len(sampled))
    assert float(((sampled.mean(0) - analytic[0]) / error).abs().max()) < 4.5
    assert float(analytic.std(0).max()) < 1e-12


def test_beta_is_a_buffer_that_is_saved_and_not_trained() -> None:
    objective = ELBO(random_linear_gaussian(0).model, beta=3.0)
    assert float(objective.state_dict()["regulariser.beta.value"]) == 3.0
    assert not [name for name, _ in objective.named_parameters() if "beta" in name]


def test_it_is_its_own_only_phase() -> None:
    objective = ELBO(random_linear_gaussian(0).model)
    assert list(objective.phases) == [objective]
    assert objective.name == "main"


@pytest.mark.parametrize("samples", [0, -3])
def test_fewer_than_one_draw_is_refused(samples: int) -> None:
    with pytest.raises(ConfigError, match=f"but --samples {samples} was given"):
        ELBO(random_linear_gaussian(0).model, samples=samples)


@pytest.mark.parametrize("beta", [-0.1, math.nan])
def test_a_weight_below_zero_is_refused(beta: float) -> None:
    with pytest.raises(ConfigError, match="beta must be 0 or more"):
        ELBO(random_linear_gaussian(0).model, beta=beta)


def test_a_sampled_kl_without_densities_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--objective elbo:kl=analytic"):
        ELBO(Fixed(said(analytic=True)), kl=SampledKL())(BATCH)
