"""Score-function gradients of binary latents: their mean over all draws is the exact gradient, without any noise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Size, Tensor

from binary_codes import BinaryModel, random_binary, relaxed_binary
from nelbo.core import Batch, Bound, Draw, Gradient, SinglePhase
from nelbo.distributions import rsample_with_log_prob
from nelbo.distributions.binary_codes import BernoulliCodes
from nelbo.errors import CompositionError
from nelbo.models import LatentVariableModel
from nelbo.networks import MLP
from nelbo.objectives import (
    ELBO,
    IWAE,
    NVIL,
    PIWAE,
    VIMCO,
    CombinedBound,
    DoublyReparameterised,
    ImportanceObjective,
    MultiplyImportanceWeighted,
    Pathwise,
    Reinforce,
    ReinforceAverage,
    RenyiBound,
    StickingTheLanding,
)
from nelbo.settings import resolve
from nelbo.train.job import prepare
from zoo import rows_of

BASELINE = -2.7  # a moving average that batches before left


def average() -> ReinforceAverage:
    gradient = ReinforceAverage()
    gradient.average.value.fill_(BASELINE)
    return gradient


def nvil() -> NVIL:
    torch.manual_seed(5)
    gradient = NVIL(MLP(4, 1, hidden=(3,)).double())
    gradient.average.value.fill_(BASELINE)
    return gradient


GRADIENTS: dict[str, Callable[[], Gradient]] = {
    "reinforce": Reinforce,
    "reinforce-average": average,
    "nvil": nvil,
    "vimco": VIMCO,
}
Values = Callable[[BinaryModel], Tensor]  # what is bounded, of every code, [2^D, B]


def mean(log_w: Tensor) -> Tensor:
    return log_w.mean(0)


def importance(log_w: Tensor) -> Tensor:
    return log_w.exp().mean(0).log()


def log_weights(case: BinaryModel) -> Tensor:
    return case.log_weights()


def of_beta(case: BinaryModel) -> Tensor:
    """log p(x given z) + beta (log p(z) - log q(z given x)), beta = 1/4."""
    return 0.75 * case.log_px() + 0.25 * case.log_weights()


def iw(bound: Bound) -> Callable[[LatentVariableModel, int, Gradient], SinglePhase]:
    return lambda model, samples, gradient: ImportanceObjective(model, bound, samples, gradient)


OBJECTIVES: dict[str, tuple[Callable[[LatentVariableModel, int, Gradient], SinglePhase], Callable, Values]] = {
    "elbo": (lambda m, k, g: ELBO(m, k, gradient=g), mean, log_weights),
    "beta": (lambda m, k, g: ELBO(m, k, gradient=g, beta=0.25), mean, of_beta),
    "iwae": (IWAE, importance, log_weights),
    "renyi": (iw(RenyiBound(0.5)), lambda log_w: 2 * importance(0.5 * log_w), log_weights),
    "ciwae": (iw(CombinedBound(0.3)), lambda log_w: 0.3 * mean(log_w) + 0.7 * importance(log_w), log_weights),
    "multiply": (
        iw(MultiplyImportanceWeighted(3)),
        lambda log_w: log_w.mean(0),  # one draw a group
        log_weights,
    ),
}


def flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([g.flatten() for g in gradients])


def expectation_of_the_estimate(
    case: BinaryModel, objective: SinglePhase, samples: int, monkeypatch: pytest.MonkeyPatch
) -> Tensor:
    """The mean of the gradient of the loss over all tuples of draws, each with its probability."""
    tuples = torch.cartesian_prod(*[torch.arange(len(case.codes))] * samples).view(-1, samples)
    n, rows = len(tuples), len(case.x)
    mass = case.log_q().detach()[tuples].sum(1).exp()  # [tuples, B]
    drawn = case.codes[tuples].transpose(0, 1)  # [K, tuples, D]

    def every(self: BernoulliCodes, sample_shape: Size) -> Tensor:
        assert tuple(sample_shape) == (samples,)
        return drawn.repeat_interleave(rows, 1)

    monkeypatch.setattr(BernoulliCodes, "sample", every)
    # A moving average follows the batch only after it was used.
    parts = objective.train()(Batch(case.x.repeat(n, 1))).parts
    losses = torch.stack(list(parts.values())).sum(0).view(n, rows)
    return flat(torch.autograd.grad((mass * losses).sum() / rows, list(case.model.parameters())))


ESTIMATORS = [
    (objective, gradient, samples)
    for objective in OBJECTIVES
    for gradient in GRADIENTS
    for samples in (1, 2, 3)
    if not (gradient == "vimco" and samples == 1) and not (objective == "multiply" and samples != 3)
]


@pytest.mark.parametrize(("objective", "gradient", "samples"), ESTIMATORS)
def test_the_mean_over_all_draws_is_the_exact_gradient(
    objective: str, gradient: str, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, bound, values = OBJECTIVES[objective]
    for seed in range(3):
        case = random_binary(seed)
        loss = -case.expected(bound, samples, values(case)).mean()
        exact = flat(torch.autograd.grad(loss, list(case.model.parameters())))
        with monkeypatch.context() as patched:
            built = make(case.model, samples, GRADIENTS[gradient]())
            found = expectation_of_the_estimate(case, built, samples, patched)
        torch.testing.assert_close(found, exact, rtol=1e-9, atol=1e-9)
        assert float(exact.abs().max()) > 0.01


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_the_mean_over_the_draws_that_are_made_is_the_exact_gradient(gradient: str) -> None:
    """The same by Monte Carlo, draws and all."""
    case, samples, copies, repeats = random_binary(1), 2, 2_000, 40
    exact = flat(torch.autograd.grad(-case.expected(importance, 2).mean(), list(case.model.parameters())))
    objective = IWAE(case.model, samples, GRADIENTS[gradient]())
    torch.manual_seed(0)
    batch = Batch(case.x.repeat(copies, 1))
    parameters = list(case.model.parameters())
    drawn = torch.stack([flat(torch.autograd.grad(objective(batch).loss, parameters)) for _ in range(repeats)])
    error = drawn.std(0) / math.sqrt(repeats)
    assert float(error.max()) < 0.02 * float(exact.abs().max()), "the test has no power"
    assert bool(((drawn.mean(0) - exact).abs() < 5 * error + 1e-9).all())


def test_what_is_subtracted_from_the_signal_makes_it_quieter() -> None:
    case = random_binary(0, dim=4)
    batch, parameters = Batch(case.x), list(case.model.posterior.parameters())

    def noise(gradient: Gradient) -> float:
        torch.manual_seed(0)
        objective = IWAE(case.model, 5, gradient)
        for _ in range(50):
            objective(batch)  # moves the average
        drawn = torch.stack([flat(torch.autograd.grad(objective(batch).loss, parameters)) for _ in range(300)])
        return float(drawn.var(0).sum())

    plain, centred, left_out = noise(Reinforce()), noise(ReinforceAverage()), noise(VIMCO())
    assert left_out < 0.7 * centred < 0.5 * plain


PATHWISE = [
    ELBO,
    lambda m: ELBO(m, gradient=Pathwise()),
    lambda m: ELBO(m, gradient=StickingTheLanding()),
    lambda m: IWAE(m, 5),
    lambda m: IWAE(m, 5, DoublyReparameterised()),
    lambda m: PIWAE(m, 4, 2),
]


@pytest.mark.parametrize("make", PATHWISE)
def test_draws_without_a_gradient_are_refused_when_the_objective_is_built(
    make: Callable[[LatentVariableModel], SinglePhase],
) -> None:
    with pytest.raises(CompositionError, match=r"discrete; give a score function, .*vimco.*relaxed-bernoulli"):
        make(random_binary(0).model)
    make(relaxed_binary(0, 0.5))


def test_draws_without_a_gradient_are_refused_where_one_is_recorded() -> None:
    q = random_binary(0).model.encode(Batch(random_binary(0).x))
    for draw in (Draw.PATHWISE, Draw.STOPPED):
        with pytest.raises(CompositionError, match=r"no reparameterised draw.*gradient=vimco"):
            rsample_with_log_prob(q, 2, draw)


BINARY = {"prior": "bernoulli", "posterior": "bernoulli", "latent": 3, "hidden": (4,)}


@pytest.mark.parametrize("objective", ["elbo", "elbo:gradient=stl", "iwae", "iwae:gradient=dreg", "piwae", "vr-max"])
def test_the_command_line_refuses_them_with_the_remedy(objective: str) -> None:
    job = prepare(resolve(BINARY, {"objective": objective}), rows_of("binary"))
    with pytest.raises(CompositionError, match="--objective elbo:samples=5,gradient=vimco"):
        job.build()
    prepare(resolve(BINARY, {"objective": "elbo:samples=5,gradient=vimco"}), rows_of("binary")).build()
