"""Gradient estimators against the exact one: quadrature over the draws of linear-Gaussian models with one latent."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from linear_gaussian import LinearGaussian, at_the_optimum, near_the_posterior
from nelbo.core import Batch, Bound, Gradient, SinglePhase
from nelbo.errors import CompositionError, ConfigError
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP
from nelbo.objectives import (
    ELBO,
    IWAE,
    NVIL,
    PIWAE,
    VIMCO,
    AnalyticKL,
    CombinedBound,
    DoublyReparameterised,
    ImportanceObjective,
    LargestWeight,
    MultiplyImportanceWeighted,
    Pathwise,
    Reinforce,
    ReinforceAverage,
    RenyiBound,
    SampledKL,
    StickingTheLanding,
)
from nelbo.settings import resolve
from nelbo.train.job import prepare

MODELS = 20
REPEATS = 60
FALSE_ALARM = 1e-4
CEILING = 0.002  # of the standard error of the length ratio: a mistake of 1 % is 5 of them


Value = tuple[Callable[[Tensor], Tensor], int]  # a bound by hand, over the first axis, and its number of draws


@final
@dataclass(frozen=True)
class Estimator:
    """An objective, and the exact values whose gradients it estimates."""

    make: Callable[[LatentVariableModel], SinglePhase]
    value: Value
    copies: int  # of each row, over all estimates
    decoder: Value | None = None  # of the likelihood's parameters, where it is another


def mean(log_w: Tensor) -> Tensor:
    return log_w.mean(0)


def importance(log_w: Tensor) -> Tensor:
    return log_w.exp().mean(0).log()


def renyi(log_w: Tensor) -> Tensor:
    return (0.5 * log_w).exp().mean(0).log() / 0.5


def combined(log_w: Tensor) -> Tensor:
    return 0.3 * mean(log_w) + 0.7 * importance(log_w)


def iw(bound: Bound, samples: int, gradient: Gradient | None = None) -> Callable[[LatentVariableModel], SinglePhase]:
    return lambda model: ImportanceObjective(model, bound, samples, gradient)


def nvil() -> NVIL:
    return NVIL(MLP(3, 1, hidden=(4,)).double())


ESTIMATORS = {
    "elbo-pathwise": Estimator(lambda m: ELBO(m, 2), (mean, 1), 2_000),
    "elbo-stl": Estimator(lambda m: ELBO(m, 2, gradient=StickingTheLanding()), (mean, 1), 2_000),
    "elbo-dreg": Estimator(lambda m: ELBO(m, 2, gradient=DoublyReparameterised()), (mean, 1), 2_000),
    "elbo-reinforce": Estimator(lambda m: ELBO(m, 1, gradient=Reinforce()), (mean, 1), 12_000),
    "elbo-reinforce-average": Estimator(lambda m: ELBO(m, 1, gradient=ReinforceAverage()), (mean, 1), 6_000),
    "elbo-nvil": Estimator(lambda m: ELBO(m, 1, gradient=nvil()), (mean, 1), 6_000),
    "elbo-vimco": Estimator(lambda m: ELBO(m, 4, gradient=VIMCO()), (mean, 1), 4_000),
    "iwae-pathwise": Estimator(lambda m: IWAE(m, 2), (importance, 2), 4_000),
    "iwae-dreg": Estimator(lambda m: IWAE(m, 2, DoublyReparameterised()), (importance, 2), 4_000),
    "iwae-reinforce": Estimator(lambda m: IWAE(m, 2, Reinforce()), (importance, 2), 12_000),
    "iwae-vimco": Estimator(lambda m: IWAE(m, 2, VIMCO()), (importance, 2), 6_000),
    "iwae-vimco-3": Estimator(lambda m: IWAE(m, 3, VIMCO()), (importance, 3), 4_000),
    "multiply-pathwise": Estimator(iw(MultiplyImportanceWeighted(2), 4), (importance, 2), 2_000),
    "multiply-dreg": Estimator(iw(MultiplyImportanceWeighted(2), 4, DoublyReparameterised()), (importance, 2), 2_000),
    "combined-pathwise": Estimator(iw(CombinedBound(0.3), 2), (combined, 2), 4_000),
    "combined-dreg": Estimator(iw(CombinedBound(0.3), 2, DoublyReparameterised()), (combined, 2), 4_000),
    "renyi-pathwise": Estimator(iw(RenyiBound(0.5), 2), (renyi, 2), 4_000),
    "renyi-dreg": Estimator(iw(RenyiBound(0.5), 2, DoublyReparameterised()), (renyi, 2), 4_000),
    "renyi-vimco": Estimator(iw(RenyiBound(0.5), 2, VIMCO()), (renyi, 2), 6_000),
    "piwae": Estimator(lambda m: PIWAE(m, 4, 2), (importance, 2), 4_000, decoder=(importance, 4)),
    "largest-pathwise": Estimator(iw(LargestWeight(), 2), (lambda log_w: log_w.amax(0), 2), 4_000),
}
EVERY = pytest.mark.parametrize("name", ESTIMATORS)


@functools.cache
def case(seed: int) -> LinearGaussian:
    return near_the_posterior(seed)


@functools.cache
def exact(seed: int, value: Value, nodes: int) -> dict[str, Tensor]:
    """The gradient of the loss by the names of the parameters."""
    model = case(seed).model
    loss = -case(seed).expected(*value, nodes).mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return {name: g for (name, _), g in zip(model.named_parameters(), gradients, strict=True)}


@functools.cache
def estimates(name: str, seed: int) -> tuple[Tensor, Tensor]:
    """Independent estimates of the gradient of the loss [REPEATS, parameters], and the exact one [parameters]."""
    estimator = ESTIMATORS[name]
    model, x = case(seed).model, case(seed).x
    objective = estimator.make(model).train()
    batch = Batch(x.repeat(estimator.copies // REPEATS + 1, 1))
    torch.manual_seed(seed)
    rows = [flat(torch.autograd.grad(objective(batch).loss, list(model.parameters()))) for _ in range(REPEATS)]
    # The largest weight has a corner, which a product rule sees late.
    of_all = exact(seed, estimator.value, 100 if name == "largest-pathwise" else 24)
    of_decoder = of_all if estimator.decoder is None else exact(seed, estimator.decoder, 12)
    true = {key: of_decoder[key] if key.startswith("likelihood") else g for key, g in of_all.items()}
    return torch.stack(rows), flat(tuple(true.values()))


def flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients])


def pooled_ratio(name: str, factor: float = 1.0) -> tuple[float, float]:
    """Length of the mean estimate along the exact gradient as a share of it, over models, and its standard error."""
    along, length, variance = 0.0, 0.0, 0.0
    for seed in range(MODELS):
        drawn, true = estimates(name, seed)
        products = factor * drawn @ true
        along += float(products.mean())
        variance += float(products.var()) / REPEATS
        length += float(true.square().sum())
    return along / length, math.sqrt(variance) / length


@EVERY
def test_the_mean_of_each_parameters_gradient_is_the_exact_one(name: str) -> None:
    scores = []
    for seed in range(MODELS):
        drawn, true = estimates(name, seed)
        error = drawn.std(0) / math.sqrt(REPEATS)
        # Where the estimate does not vary (the prior's part of a closed form) it is exact.
        scores.append(((drawn.mean(0) - true).abs() - 1e-9).clamp(min=0) / error.clamp(min=1e-12))
    threshold = stats.t(REPEATS - 1).isf(FALSE_ALARM / 2 / sum(len(s) for s in scores))
    assert float(torch.cat(scores).max()) < threshold


@EVERY
def test_its_length_is_right_to_a_share_that_a_mistake_of_one_percent_would_pass(name: str) -> None:
    ratio, error = pooled_ratio(name)
    assert error < CEILING, f"the test has no power: {error}"
    threshold = float(stats.norm.isf(FALSE_ALARM / 2 / len(ESTIMATORS)))
    assert abs(ratio - 1) < threshold * error
    for factor in (0.99, 1.01):
        planted, error = pooled_ratio(name, factor)
        assert abs(planted - 1) > 0.5 * threshold * error


def test_sticking_the_landing_leaves_no_noise_where_q_is_the_posterior() -> None:
    x = torch.randn(4, 3, dtype=torch.float64)
    best = at_the_optimum(x, torch.zeros(3).double(), torch.randn(3, 1, dtype=torch.float64), 1.0)
    encoder = list(best.model.posterior.parameters())
    lengths = {}
    for name, make in {
        "pathwise": lambda m: ELBO(m, kl=SampledKL()),
        "stl": lambda m: ELBO(m, gradient=StickingTheLanding()),
        "iwae-pathwise": lambda m: IWAE(m, 5),
        "iwae-dreg": lambda m: IWAE(m, 5, DoublyReparameterised()),
    }.items():
        gradients = torch.autograd.grad(make(best.model)(Batch(x)).loss, encoder)
        lengths[name] = float(flat(gradients).norm())
    assert lengths["stl"] < 1e-12 < lengths["pathwise"]
    assert lengths["iwae-dreg"] < 1e-12 < lengths["iwae-pathwise"]


def test_dreg_is_quieter_than_pathwise_for_many_draws() -> None:
    x, model = case(0).x, case(0).model

    def noise(gradient: Gradient) -> float:
        torch.manual_seed(0)
        objective = IWAE(model, 64, gradient)
        parameters = list(model.posterior.parameters())
        drawn = [flat(torch.autograd.grad(objective(Batch(x)).loss, parameters)) for _ in range(200)]
        return float(torch.stack(drawn).var(0).sum())

    assert noise(DoublyReparameterised()) < 0.5 * noise(Pathwise())


def test_reported_bounds_are_those_of_the_log_weights_whatever_the_gradient() -> None:
    x, model = case(1).x, case(1).model
    for gradient in (Pathwise(), DoublyReparameterised(), Reinforce(), ReinforceAverage(), nvil(), VIMCO()):
        for make in (lambda g: IWAE(model, 3, g), lambda g: ELBO(model, 3, gradient=g, beta=0.5)):
            objective = make(gradient)
            torch.manual_seed(2)
            loss = objective(Batch(x))
            torch.manual_seed(2)
            log_w = model.terms(Batch(x), 3, gradient.draw).log_weights.detach()
            assert loss.bound is not None
            if isinstance(objective, ELBO):
                if not isinstance(gradient, Pathwise):  # whose KL is in closed form
                    torch.testing.assert_close(loss.bound, log_w.mean(0))
            else:
                torch.testing.assert_close(loss.bound, importance(log_w))
                torch.testing.assert_close(loss.loss.detach(), -importance(log_w).mean())


def test_a_moving_average_follows_in_training_only() -> None:
    gradient = ReinforceAverage(decay=0.5)
    objective = ELBO(case(0).model, gradient=gradient)
    objective.eval()(Batch(case(0).x))
    assert float(gradient.average.value) == 0
    bound = objective.train()(Batch(case(0).x)).bound
    assert bound is not None
    assert float(gradient.average.value) == pytest.approx(0.5 * float(bound.mean()), rel=1e-5)


def test_the_network_of_nvil_learns_the_bound_of_each_row() -> None:
    torch.manual_seed(0)
    far = LinearGaussian(case(2).model, 3 * case(2).x)
    model, x = far.model.requires_grad_(False), far.x
    network = nn.Linear(3, 1).double()
    gradient = NVIL(network)
    objective = ELBO(model, gradient=gradient)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.1)
    for _ in range(400):
        optimiser.zero_grad()
        objective(Batch(x)).loss.backward()
        optimiser.step()
    model.requires_grad_(True)
    found = network(x).squeeze(-1).detach() + gradient.average.value
    torch.testing.assert_close(found, far.elbo().detach(), rtol=0, atol=1.0)
    assert float((far.elbo().max() - far.elbo().min()).detach()) > 4.0, "the test has no power"


def test_a_score_function_trains_through_draws_that_have_no_gradient() -> None:
    terms = case(0).model.terms(Batch(case(0).x), 3, Reinforce.draw)
    assert not terms.z.requires_grad
    assert terms.log_qz is not None
    assert terms.log_qz.requires_grad


def test_what_cannot_work_is_refused_when_it_is_built() -> None:
    model = case(0).model
    with pytest.raises(CompositionError, match="use gradient=dreg"):
        IWAE(model, 5, StickingTheLanding())
    with pytest.raises(CompositionError, match="use gradient=pathwise"):
        ImportanceObjective(model, LargestWeight(), 5, DoublyReparameterised())
    with pytest.raises(ConfigError, match="2 draws or more"):
        IWAE(model, 1, VIMCO())
    with pytest.raises(ConfigError, match="2 draws or more"):
        ELBO(model, 1, gradient=VIMCO())
    with pytest.raises(CompositionError, match="leave kl=analytic out"):
        ELBO(model, kl=AnalyticKL(), gradient=StickingTheLanding())
    with pytest.raises(ConfigError, match=r"5 draws cannot be put in 2 groups .* samples=10"):
        ImportanceObjective(model, MultiplyImportanceWeighted(2), 5)
    with pytest.raises(ConfigError, match="below 1"):
        ReinforceAverage(decay=1.0)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"objective": "iwae", "beta": 4.0}, "has no beta"),
        ({"objective": "iwae", "warmup": "linear:0.2"}, "has no beta"),
        ({"objective": "piwae:gradient=dreg"}, "no choice of gradient"),
        ({"objective": "iwae:gradient=drag"}, "did you mean 'dreg'"),
        ({"objective": "iwea"}, "did you mean 'iwae'"),
        ({"objective": "iwae:sample=3"}, "did you mean 'samples'"),
        ({"objective": "iwae", "posterior": "delta"}, "needs a posterior with a density"),
    ],
)
def test_what_cannot_work_is_refused_on_the_command_line(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises((CompositionError, ConfigError), match=sentence):
        prepare(resolve({"source": "digits", "latent": 2, **settings})).build()
