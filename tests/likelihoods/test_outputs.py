"""What the outputs of a network mean to a likelihood, by SciPy; what is legal, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy import stats
from scipy.special import expit
from torch import Tensor, nn
from torch.autograd import gradcheck

from nelbo.core import Batch
from nelbo.errors import CompositionError, ConfigError
from nelbo.likelihoods import (
    BetaBinomialLikelihood,
    BetaLikelihood,
    DiscretizedLogNormalLikelihood,
    Elementwise,
    ExponentialLikelihood,
    GammaLikelihood,
    LaplaceLikelihood,
    LogNormalLikelihood,
    NegativeBinomialLikelihood,
    OrdinalLikelihood,
    PoissonLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
)
from nelbo.likelihoods.dispersion import Learned
from nelbo.likelihoods.links import log_concentration, log_mean, logit_mean
from zoo import is_legal

Values = npt.NDArray[np.float64]
P = 6
SHAPE = (2, 3)
SCALE = np.array([0.5, 1.0, 2.0, 5.0, 30.0, 1.0])
SHIFT = np.array([0.0, -1.0, 100.0, 0.0, 3.0, 0.0])
LOG_SHIFT, LOG_SCALE = np.arange(P) / 4, 0.5 + np.arange(P) / 8  # of log(1 + x)
REAL = np.linspace(-4, 4, P) + SHIFT
POSITIVE = SCALE * np.linspace(0.2, 3, P)
COUNT = np.array([0.0, 1.0, 0.0, 7.0, 40.0, 2.0])
UNIT = np.array([0.0, 0.2, 0.5, 0.9, 1.0, 0.7])
LEVEL = np.array([0.0, 1.0, 4.0, 2.0, 3.0, 4.0])


def softened(raw: Values, limit: float) -> Values:
    return limit * np.tanh(raw / limit)


def sigma(raw: Values) -> Values:
    """exp of half the log of exp(raw) + exp(-14)."""
    return np.sqrt(np.exp(raw) + np.exp(-14))


def zero_inflated(x: Values, mean: Values, gate: Values, r: Values) -> Values:
    return np.log(expit(gate) * (x == 0) + expit(-gate) * stats.nbinom(r, r / (r + mean)).pmf(x))


def between(x: Values, loc: Values, scale: Values) -> Values:
    """Mass of a log-normal 1 + v over the values that round to x; below 3/2 for 0."""
    law = stats.lognorm(scale, scale=np.exp(loc))
    return np.log(law.cdf(x + 1.5) - np.where(x > 0, law.cdf(x + 0.5), 0.0))


def squeezed_beta(x: Values, mean: Values, precision: Values) -> Values:
    u = 1e-6 + (1 - 2e-6) * x
    return stats.beta(mean * precision, (1 - mean) * precision).logpdf(u) + np.log1p(-2e-6)


@dataclass(frozen=True)
class Expected:
    """A likelihood with its dispersion emitted, and what its outputs [P] mean in the words of SciPy."""

    make: Callable[..., Elementwise]
    option: str  # the name of its dispersion, empty where it has none
    fixed: dict[str, Any]
    x: Values
    law: Callable[..., Values]  # of x, then the outputs in order


SCALED = {"scale": SCALE.tolist()}
LAWS: dict[str, Expected] = {
    "laplace": Expected(
        LaplaceLikelihood,
        "sigma",
        {"shift": SHIFT.tolist(), **SCALED},
        REAL,
        lambda x, m, s: stats.laplace(SHIFT + SCALE * m, SCALE * sigma(s)).logpdf(x),
    ),
    "log-normal": Expected(
        LogNormalLikelihood,
        "sigma",
        SCALED,
        POSITIVE,
        lambda x, m, s: stats.lognorm(sigma(s), scale=SCALE * np.exp(m)).logpdf(x),
    ),
    "gamma": Expected(
        GammaLikelihood,
        "concentration",
        SCALED,
        POSITIVE,
        lambda x, m, k: stats.gamma(
            np.exp(softened(k, 10)), scale=SCALE * np.exp(softened(m, 20) - softened(k, 10))
        ).logpdf(x),
    ),
    "exponential": Expected(
        ExponentialLikelihood,
        "",
        SCALED,
        POSITIVE,
        lambda x, m: stats.expon(scale=SCALE * np.exp(softened(m, 20))).logpdf(x),
    ),
    "poisson": Expected(
        PoissonLikelihood,
        "",
        SCALED,
        COUNT,
        lambda x, m: stats.poisson(SCALE * np.exp(softened(m, 20))).logpmf(x),
    ),
    "discretized-log-normal": Expected(
        DiscretizedLogNormalLikelihood,
        "sigma",
        {"log_shift": LOG_SHIFT.tolist(), "log_scale": LOG_SCALE.tolist()},
        COUNT,
        lambda x, m, s: between(x, LOG_SHIFT + LOG_SCALE * m, LOG_SCALE * sigma(s)),
    ),
    "negative-binomial": Expected(
        NegativeBinomialLikelihood,
        "dispersion",
        SCALED,
        COUNT,
        lambda x, m, r: stats.nbinom(
            np.exp(softened(r, 10)),
            np.exp(softened(r, 10)) / (np.exp(softened(r, 10)) + SCALE * np.exp(softened(m, 20))),
        ).logpmf(x),
    ),
    "zero-inflated-negative-binomial": Expected(
        ZeroInflatedNegativeBinomialLikelihood,
        "dispersion",
        SCALED,
        COUNT,
        lambda x, m, w, r: zero_inflated(x, SCALE * np.exp(softened(m, 20)), w, np.exp(softened(r, 10))),
    ),
    "beta": Expected(
        BetaLikelihood,
        "precision",
        {},
        UNIT,
        lambda x, m, n: squeezed_beta(x, expit(softened(m, 20)), 2 * np.exp(softened(n, 10))),
    ),
    "beta-binomial": Expected(
        BetaBinomialLikelihood,
        "precision",
        {"levels": 5},
        LEVEL,
        lambda x, m, n: stats.betabinom(
            4,
            expit(softened(m, 20)) * 2 * np.exp(softened(n, 10)),
            expit(-softened(m, 20)) * 2 * np.exp(softened(n, 10)),
        ).logpmf(x),
    ),
}
EVERY = pytest.mark.parametrize("name", LAWS)
WITH_WIDTH = pytest.mark.parametrize("name", [name for name, case in LAWS.items() if case.option])


class Given(nn.Module):
    """A network that emits the same outputs for every z."""

    def __init__(self, outputs: Tensor) -> None:
        super().__init__()
        self.outputs = nn.Parameter(outputs.reshape(-1))
        self.out_features = self.outputs.numel()

    def forward(self, z: Tensor) -> Tensor:
        return self.outputs.expand(len(z), -1)


def outputs(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, P, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def needed(case: Expected, width: str) -> int:
    return case.make.outputs_per_cell({**case.fixed, case.option: width})  # type: ignore[attr-defined, no-any-return]


def part(case: Expected, given: Tensor, width: str = "datum") -> Elementwise:
    options = {case.option: width} if case.option else {}
    return case.make(Given(given), SHAPE, **case.fixed, **options).double()


def scored(likelihood: Elementwise, x: Values) -> Values:
    px = likelihood(torch.zeros(1, 2, dtype=torch.float64))
    assert px.batch_shape == (1, *SHAPE)
    return px.log_prob(torch.from_numpy(x).view(1, *SHAPE)).detach().numpy().reshape(-1)


@EVERY
def test_outputs_mean_what_scipy_says(name: str) -> None:
    case = LAWS[name]
    given = outputs(needed(case, "datum"))
    found = scored(part(case, given), case.x)
    np.testing.assert_allclose(found, case.law(case.x, *given.numpy()), rtol=1e-9, atol=1e-9)


@WITH_WIDTH
@pytest.mark.parametrize("width", ["shared", "dimension"])
def test_a_learned_dispersion_is_the_emitted_one_at_the_same_value(name: str, width: str) -> None:
    case = LAWS[name]
    given = outputs(needed(case, width))
    likelihood = part(case, given, width)
    learned = likelihood.get_submodule("dispersion.learned")
    assert isinstance(learned, Learned)
    assert learned().shape == (SHAPE if width == "dimension" else ())
    learned.set(outputs(1, seed=1).view(SHAPE) if width == "dimension" else -0.7)
    emitted = torch.cat([given, learned().detach().expand(SHAPE).reshape(1, P)])
    np.testing.assert_allclose(scored(likelihood, case.x), case.law(case.x, *emitted.numpy()), rtol=1e-9, atol=1e-9)


@EVERY
def test_outputs_however_large_leave_values_gradients_and_draws_finite_in_single_precision(name: str) -> None:
    case = LAWS[name]
    torch.manual_seed(0)
    # A scale is not limited above, as that of a Gaussian is not: exp(40 / 2) of the scale of the data is far.
    high = 40.0 if case.option == "sigma" else 1e5
    for first in (-1e5, 0.0, 1e5):
        for last in (-high, high):
            given = torch.full((needed(case, "datum"), P), last, dtype=torch.float64)
            given[0] = first if case.option != "sigma" else first / 1e4
            likelihood = part(case, given).float()
            z = torch.zeros(1, 1, 2)
            value = likelihood.log_px(z, Batch(torch.from_numpy(case.x).float().view(1, *SHAPE)))
            (gradient,) = torch.autograd.grad(value.sum(), likelihood.get_parameter("network.outputs"))
            assert bool(torch.isfinite(value).all())
            assert bool(torch.isfinite(gradient).all())
            px = likelihood(z[0])
            (kind, *_) = likelihood.fits
            for x in (px.sample((50,)), likelihood.mode(px)):
                assert is_legal(x, kind, case.fixed.get("levels", 256))


@WITH_WIDTH
def test_a_misspelt_width_is_refused_with_the_nearest(name: str) -> None:
    case = LAWS[name]
    with pytest.raises(ConfigError, match=f"unknown {case.option} of the {name} likelihood 'share'; .*'shared'"):
        part(case, outputs(needed(case, "share")), "share")


@EVERY
def test_a_network_with_other_outputs_is_refused(name: str) -> None:
    case = LAWS[name]
    with pytest.raises(CompositionError, match="needs a network with"):
        part(case, outputs(needed(case, "datum") + 1))


@pytest.mark.parametrize("make", [BetaBinomialLikelihood, OrdinalLikelihood])
def test_one_level_is_refused(make: Callable[..., Elementwise]) -> None:
    with pytest.raises(CompositionError, match="needs 2 levels or more, but 1 was given"):
        make(Given(outputs(1)), SHAPE, levels=1)


@pytest.mark.parametrize("squeeze", [0.0, 0.5, -1.0])
def test_a_squeeze_that_is_none_is_refused(squeeze: float) -> None:
    with pytest.raises(ConfigError, match=r"give a number between 0 and 0\.5"):
        BetaLikelihood(Given(outputs(2)), SHAPE, squeeze=squeeze)


def test_a_log_normal_is_the_gaussian_of_the_logarithm() -> None:
    given = outputs(2)
    x = torch.from_numpy(POSITIVE)
    found = scored(part(LAWS["log-normal"], given), POSITIVE)
    of_log = stats.norm(np.log(SCALE) + given[0].numpy(), sigma(given[1].numpy())).logpdf(np.log(POSITIVE))
    np.testing.assert_allclose(found, of_log - x.log().numpy(), rtol=1e-10)


# Links.


@pytest.mark.parametrize("link", [logit_mean, log_concentration, lambda raw: log_mean(raw, torch.ones(()).double())])
def test_links_are_the_identity_near_zero_bounded_and_increasing(link: Callable[[Tensor], Tensor]) -> None:
    raw = torch.tensor([-1e6, -3.0, -0.01, 0.0, 0.01, 3.0, 1e6], dtype=torch.float64)
    found = link(raw)
    assert bool((found.diff() > 0).all())
    assert float(found.abs().max()) <= 20
    torch.testing.assert_close(found[2:5], raw[2:5], rtol=1e-5, atol=0)
    assert gradcheck(link, (raw[1:-1].clone().requires_grad_(),))
