"""log p(x given z) of every likelihood: fused and generic agree, units are the user's, holes leave no trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import expit
from scipy.stats import bernoulli, logistic, norm
from torch import Tensor, nn

from nelbo.core import Batch, Likelihood
from nelbo.errors import CompositionError, ConfigError
from nelbo.likelihoods import (
    BernoulliLikelihood,
    ContinuousBernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    Elementwise,
    GaussianLikelihood,
)
from nelbo.networks import MLP

SHAPE = (1, 2, 3)
CELLS = 6
LATENT = 2


def network(parameters: int = 1, context: int = 0) -> MLP:
    return MLP(LATENT, parameters * CELLS, hidden=(4,), activation="tanh", context=context)


MAKERS: dict[str, Callable[[int], Elementwise]] = {
    "bernoulli": lambda c: BernoulliLikelihood(network(1, c), SHAPE),
    "continuous-bernoulli": lambda c: ContinuousBernoulliLikelihood(network(1, c), SHAPE, shift=0.0, scale=16.0),
    "gaussian-unit": lambda c: GaussianLikelihood(network(1, c), SHAPE, sigma="unit", shift=2.0, scale=3.0),
    "gaussian-shared": lambda c: GaussianLikelihood(network(1, c), SHAPE, sigma="shared", shift=2.0, scale=3.0),
    "gaussian-cellwise": lambda c: GaussianLikelihood(
        network(1, c), SHAPE, sigma="shared", shift=[0.0, 1, 2, 3, 4, 5], scale=[1.0, 2, 3, 4, 5, 6]
    ),
    "gaussian-sigmoid": lambda c: GaussianLikelihood(network(1, c), SHAPE, sigma="shared", mean="sigmoid"),
    "gaussian-dimension": lambda c: GaussianLikelihood(network(1, c), SHAPE, sigma="dimension", scale=3.0),
    "gaussian-datum": lambda c: GaussianLikelihood(network(2, c), SHAPE, sigma="datum", scale=3.0),
    "logistic-datum": lambda c: DiscretizedLogisticLikelihood(network(2, c), SHAPE, levels=17),
    "logistic-shared": lambda c: DiscretizedLogisticLikelihood(network(1, c), SHAPE, levels=17, sigma="shared"),
    "logistic-dimension": lambda c: DiscretizedLogisticLikelihood(network(1, c), SHAPE, levels=17, sigma="dimension"),
}
EVERY = pytest.mark.parametrize("name", MAKERS)


def likelihood(name: str, context: int = 0) -> Elementwise:
    """In float64, with every parameter away from its initial value."""
    torch.manual_seed(0)
    made = MAKERS[name](context).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made


def batch(name: str, rows: int) -> Batch:
    generator = torch.Generator().manual_seed(1)
    whole = torch.randint(0, 17, (rows, *SHAPE), generator=generator).double()
    return Batch((whole > 8).double() if name == "bernoulli" else whole)


def latents(draws: int, rows: int) -> Tensor:
    return torch.randn(draws, rows, LATENT, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.mark.parametrize("cells", [1, 5, 64, 67, 784])
@pytest.mark.parametrize(("draws", "rows"), [(1, 4), (3, 4), (9, 2)])
@pytest.mark.parametrize("size", [0.0, 1.0, 30.0])
def test_a_bernoulli_scored_without_gradients_keeps_its_digits(cells: int, draws: int, rows: int, size: float) -> None:
    """In single precision, for any number of cells (67 is a prime), from even odds to certainty."""
    part = BernoulliLikelihood(nn.Linear(LATENT, cells), (cells,))
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(cells)))
        z, x = latents(draws, rows), torch.randint(0, 2, (rows, cells)).double()
        found = part.log_px(z.float(), Batch(x.float()))
        exact = Likelihood.log_px(part.double(), z.float().double(), Batch(x))
    torch.testing.assert_close(found.double(), exact, rtol=2e-6, atol=1e-5 * max(1.0, size) * cells**0.5)


@EVERY
@pytest.mark.parametrize(("draws", "rows"), [(1, 5), (3, 5), (5, 5), (9, 2), (4, 1)])
@pytest.mark.parametrize("context", [0, 3])
def test_the_fused_sum_is_the_generic_one(name: str, draws: int, rows: int, context: int) -> None:
    part, data, z = likelihood(name, context), batch(name, rows), latents(draws, rows)
    if context:
        data = replace(data, context=torch.randn(rows, context).double())
    found = part.log_px(z, data)
    assert found.shape == (draws, rows)
    torch.testing.assert_close(found, Likelihood.log_px(part, z, data), rtol=1e-10, atol=1e-10)
    with torch.no_grad():  # another way of summing, for some
        torch.testing.assert_close(part.log_px(z, data), found, rtol=1e-10, atol=1e-10)
    # Draw by draw and row by row, with nothing folded.
    for k in range(draws):
        for b in range(rows):
            row = None if data.context is None else data.context[b : b + 1]
            alone = part(z[k, b : b + 1], row).log_prob(data.x[b : b + 1]).sum()
            torch.testing.assert_close(found[k, b], alone, rtol=1e-10, atol=1e-10)


@EVERY
@pytest.mark.parametrize("draws", [1, 7])
def test_gradients_of_the_fused_sum_are_those_of_the_generic_one(name: str, draws: int) -> None:
    part, data, z = likelihood(name), batch(name, 4), latents(draws, 4).requires_grad_()
    inputs = [z, *part.parameters()]
    fused = torch.autograd.grad(part.log_px(z, data).sum(), inputs)
    generic = torch.autograd.grad(Likelihood.log_px(part, z, data).sum(), inputs)
    for one, other in zip(fused, generic, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@EVERY
@pytest.mark.parametrize("draws", [1, 6])
def test_the_log_jacobian_is_added_once_a_cell(name: str, draws: int) -> None:
    part, data, z = likelihood(name), batch(name, 3), latents(draws, 3)
    plain = part.log_px(z, data)
    cells = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    torch.testing.assert_close(part.log_px(z, replace(data, log_jacobian=cells)), plain + cells.flatten(1).sum(1))
    shared = torch.tensor(-0.5, dtype=torch.float64)
    torch.testing.assert_close(part.log_px(z, replace(data, log_jacobian=shared)), plain - 0.5 * CELLS)


# Holes.


@EVERY
@pytest.mark.parametrize("draws", [1, 6])
def test_a_missing_cell_is_left_out_whatever_it_holds(name: str, draws: int) -> None:
    part, data, z = likelihood(name), batch(name, 3), latents(draws, 3)
    mask = torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(4)) < 0.6
    px = part(z.flatten(0, 1)).log_prob(data.x.repeat(draws, 1, 1, 1)).view(draws, 3, *SHAPE)
    expected = (px * mask).flatten(2).sum(2)
    torch.testing.assert_close(part.log_px(z, replace(data, mask=mask)), expected)
    other = torch.where(mask, data.x, 1.0)  # inside the support of every likelihood here
    torch.testing.assert_close(part.log_px(z, replace(data, x=other, mask=mask)), expected)


@EVERY
@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_an_infinite_log_jacobian_under_the_mask_reaches_neither_value_nor_gradient(name: str, bad: float) -> None:
    part, data, z = likelihood(name), batch(name, 3), latents(2, 3).requires_grad_()
    mask = torch.ones(3, *SHAPE, dtype=torch.bool)
    mask[0, 0, 0, 0] = mask[2, 0, 1, 2] = False
    jacobian = torch.where(mask, 0.25, bad).double()
    value = part.log_px(z, replace(data, mask=mask, log_jacobian=jacobian))
    clean = part.log_px(z, replace(data, mask=mask, log_jacobian=torch.full_like(jacobian, 0.25)))
    torch.testing.assert_close(value, clean)
    inputs = [z, *part.parameters()]
    for gradient in torch.autograd.grad(value.sum(), inputs):
        assert bool(torch.isfinite(gradient).all())


def test_a_row_that_is_missing_altogether_says_nothing() -> None:
    part, data, z = likelihood("gaussian-datum"), batch("gaussian-datum", 3), latents(2, 3).requires_grad_()
    mask = torch.ones(3, *SHAPE, dtype=torch.bool)
    mask[1] = False
    value = part.log_px(z, replace(data, mask=mask))
    assert value[:, 1].tolist() == [0.0, 0.0]
    (gradient,) = torch.autograd.grad(value.sum(), z)
    assert not bool(gradient[:, 1].any())


# Units.


def emitted(part: Elementwise, z: Tensor) -> np.ndarray:
    """The network's outputs [N, parameters, P], called directly."""
    network: torch.nn.Module = part.network
    return network(z).detach().view(len(z), -1, CELLS).numpy()


def cells(part: Elementwise, z: Tensor, x: Tensor) -> np.ndarray:
    return part(z).log_prob(x).detach().flatten(1).numpy()


def variances(part: Elementwise) -> np.ndarray:
    raw = part.get_submodule("raw_log_variance")().detach().numpy()
    return np.exp(-14 + np.logaddexp(0, raw + 14))


def test_a_gaussian_is_scipys_in_the_units_of_the_data() -> None:
    z = latents(1, 5)[0]
    x = batch("gaussian", 5).x
    flat = x.flatten(1).numpy()
    for name, shift, scale in (
        ("gaussian-unit", 2.0, 3.0),
        ("gaussian-shared", 2.0, 3.0),
        ("gaussian-cellwise", np.arange(6.0), np.arange(1.0, 7.0)),
        ("gaussian-dimension", 0.0, 3.0),
    ):
        part = likelihood(name)
        sigma = 1.0 if name == "gaussian-unit" else np.sqrt(variances(part)).reshape(-1)
        expected = norm(shift + scale * emitted(part, z)[:, 0], scale * sigma).logpdf(flat)
        np.testing.assert_allclose(cells(part, z, x), expected, rtol=1e-9, err_msg=name)


def test_a_gaussian_with_its_variance_from_the_network_is_scipys() -> None:
    part, z, x = likelihood("gaussian-datum"), latents(1, 5)[0], batch("gaussian", 5).x
    out = emitted(part, z)
    sigma = np.exp(0.5 * (-14 + np.logaddexp(0, out[:, 1] + 14)))
    np.testing.assert_allclose(cells(part, z, x), norm(3 * out[:, 0], 3 * sigma).logpdf(x.flatten(1)), rtol=1e-9)


def test_a_sigmoid_mean_lies_between_the_ends_of_the_scale() -> None:
    part, z, x = likelihood("gaussian-sigmoid"), latents(1, 5)[0], batch("gaussian", 5).x
    expected = norm(expit(emitted(part, z)[:, 0]), np.sqrt(variances(part))).logpdf(x.flatten(1))
    np.testing.assert_allclose(cells(part, z, x), expected, rtol=1e-9)


def test_a_bernoulli_is_scipys() -> None:
    part, z, x = likelihood("bernoulli"), latents(1, 5)[0], batch("bernoulli", 5).x
    expected = bernoulli(expit(emitted(part, z)[:, 0])).logpmf(x.flatten(1).long().numpy())
    np.testing.assert_allclose(cells(part, z, x), expected, rtol=1e-9)


def test_a_discretised_logistic_is_a_difference_of_scipys_distribution_function_in_levels() -> None:
    part, z, x = likelihood("logistic-datum"), latents(1, 5)[0], batch("logistic", 5).x
    out, k = emitted(part, z), x.flatten(1).numpy()
    # Means and log squared scales are in units of the range, 16 steps wide, the latter moved by -4.
    scale = 16 * np.exp(0.5 * (-14 + np.logaddexp(0, out[:, 1] - 4 + 14)))
    law = logistic(16 * out[:, 0], scale)
    high, low = np.where(k == 16, np.inf, k + 0.5), np.where(k == 0, -np.inf, k - 0.5)
    np.testing.assert_allclose(np.exp(cells(part, z, x)), law.cdf(high) - law.cdf(low), rtol=1e-7, atol=1e-14)


DENSITIES = ["gaussian-unit", "gaussian-shared", "gaussian-datum", "gaussian-dimension", "continuous-bernoulli"]


@pytest.mark.parametrize("name", DENSITIES)
def test_a_density_of_rescaled_data_moves_by_the_dimension_times_the_log_of_the_scale(name: str) -> None:
    # x in raw units, and u = x / 16 with the scaling adapted: log p(x) = log p(u) - D log 16.
    part, data, z = likelihood(name), batch(name, 4), latents(3, 4)
    rescaled = likelihood(name)
    rescaled.shift.div_(16)
    rescaled.scale.div_(16)
    raw, unit = part.log_px(z, data), rescaled.log_px(z, Batch(data.x / 16))
    torch.testing.assert_close(raw, unit - CELLS * math.log(16))


@EVERY
def test_draws_and_modes_have_the_shape_of_the_data(name: str) -> None:
    part, z = likelihood(name), latents(1, 5)[0]
    px = part(z)
    assert px.batch_shape == (5, *SHAPE)
    assert px.sample().shape == px.mean.shape == part.mode(px).shape == (5, *SHAPE)
    assert px.variance.shape == (5, *SHAPE) if not isinstance(part, DiscretizedLogisticLikelihood) else True


@pytest.mark.parametrize("name", DENSITIES)
def test_mean_and_variance_are_those_of_draws(name: str) -> None:
    torch.manual_seed(0)
    px = likelihood(name)(latents(1, 2)[0])
    drawn = px.sample((40_000,))
    error = drawn.std(0) / 200
    assert bool(((drawn.mean(0) - px.mean).abs() < 4.5 * error).all())
    torch.testing.assert_close(drawn.var(0), px.variance, rtol=0.06, atol=0)


def test_parameters_stay_in_single_precision_under_a_reduced_network() -> None:
    part = BernoulliLikelihood(network().bfloat16(), SHAPE)
    assert part(torch.zeros(2, LATENT).bfloat16()).mean.dtype == torch.float32


# What is refused.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: BernoulliLikelihood(network(2), SHAPE),
            r"needs a network with 6 outputs \(1 a value\), but .* has 12",
        ),
        (lambda: GaussianLikelihood(network(1), SHAPE, sigma="datum"), r"12 outputs \(2 a value\)"),
        (lambda: DiscretizedLogisticLikelihood(network(1), SHAPE), r"12 outputs \(2 a value\)"),
        (lambda: DiscretizedLogisticLikelihood(network(2), SHAPE, levels=1), "needs 2 levels or more"),
    ],
)
def test_a_composition_that_cannot_work_is_refused_when_built(make: Callable[[], object], message: str) -> None:
    with pytest.raises(CompositionError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianLikelihood(network(), SHAPE, sigma="shred"), "did you mean 'shared'"),  # type: ignore[arg-type]
        (lambda: GaussianLikelihood(network(), SHAPE, mean="sigmoidal"), "did you mean 'sigmoid'"),  # type: ignore[arg-type]
        (lambda: DiscretizedLogisticLikelihood(network(2), SHAPE, sigma="unit"), "known: datum, dimension, shared"),  # type: ignore[arg-type]
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_an_offset_that_starts_at_the_mean_makes_silent_networks_predict_it() -> None:
    part = BernoulliLikelihood(nn.Linear(LATENT, 6), (2, 3), start="mean").double()
    nn.init.zeros_(part.network.weight)
    nn.init.zeros_(part.network.bias)
    x = (torch.rand(50, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) < 0.3).double()
    x[:, 0, 0] = 0  # a cell that is never 1 starts at the rarest mean that is taken
    assert part.starts_from_data
    part.start_from(Batch(x))
    mean = x.mean(0)
    mean[0, 0] = 1e-3
    assert torch.allclose(part(torch.randn(4, LATENT, dtype=torch.float64)).mean, mean.expand(4, 2, 3), atol=1e-6)
    # Both ways to the log-likelihood see the offset.
    z, batch = torch.randn(3, 50, LATENT, dtype=torch.float64), Batch(x)
    expected = (x * mean.log() + (1 - x) * (1 - mean).log()).sum((1, 2)).expand(3, 50)
    assert torch.allclose(part.log_px(z, batch), expected, atol=1e-6)
    with torch.no_grad():
        assert torch.allclose(part.log_px(z, batch), expected, atol=1e-6)
    masked = part.log_px(z, Batch(x, mask=torch.ones_like(x, dtype=torch.bool)))
    assert torch.allclose(masked, expected, atol=1e-6)
