"""Closed-form rates against torch's own and against Monte Carlo."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, Normal, kl_divergence

from nelbo.distributions import DiagonalNormal, LogitBernoulli, StandardNormal, rate
from nelbo.distributions.binary_codes import BernoulliCodes
from nelbo.distributions.diagonal_beta import DiagonalBeta
from nelbo.distributions.full_normal import FullNormal
from nelbo.distributions.kl import _TABLE
from nelbo.distributions.kumaraswamy import Kumaraswamy
from nelbo.distributions.location_scale import (
    DiagonalCauchy,
    DiagonalGumbel,
    DiagonalLaplace,
    DiagonalLogistic,
    DiagonalStudentT,
)
from nelbo.distributions.low_rank_normal import LowRankNormal
from nelbo.distributions.one_hot import StraightThroughOneHot
from nelbo.distributions.positive import DiagonalExponential, DiagonalGamma, DiagonalLogNormal
from nelbo.distributions.simplex import Dirichlet
from nelbo.distributions.sphere import SphereUniform, VonMisesFisher


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pairs() -> list[tuple[str, DiagonalNormal, Distribution]]:
    q = DiagonalNormal(random(5, 3, seed=0), random(5, 3, seed=1))
    return [
        ("standard", q, StandardNormal(3, q.loc)),
        ("diagonal", q, DiagonalNormal(random(5, 3, seed=2), random(5, 3, seed=3))),
        ("one diagonal for all rows", q, DiagonalNormal(random(3, seed=4), random(3, seed=5))),
    ]


EVERY = pytest.mark.parametrize(("q", "p"), [pair[1:] for pair in pairs()], ids=[pair[0] for pair in pairs()])


@EVERY
def test_rates_are_torchs_divergences_per_dimension(q: DiagonalNormal, p: Distribution) -> None:
    found = rate(q, p)
    assert found is not None
    assert found.shape == (3, 5)  # [D, B]
    peer = kl_divergence(Normal(q.mean, q.stddev), Normal(p.mean, p.variance.sqrt()))
    torch.testing.assert_close(found, peer.T)


@EVERY
def test_rates_are_what_monte_carlo_finds(q: DiagonalNormal, p: Distribution) -> None:
    torch.manual_seed(0)
    z = q.rsample((200_000,))
    draws = q.log_prob(z) - p.log_prob(z)
    error = draws.std(0) / math.sqrt(len(draws))
    found = rate(q, p)
    assert found is not None
    assert float(error.max()) < 0.05, "the test has no power: the standard error is too large"
    assert float(((draws.mean(0) - found.sum(0)) / error).abs().max()) < 4.5


def others() -> dict[str, tuple[Distribution, Distribution]]:
    """Every other pair of the table, the parameters of p for all rows."""
    loc, log_scale, raw = random(5, 3, seed=0), 0.5 * random(5, 3, seed=1), random(5, 3, 3, seed=2)
    standard, diagonal = StandardNormal(3, loc), DiagonalNormal(random(3, seed=4), 0.3 * random(3, seed=5) + 0.5)
    laplace = DiagonalLaplace(random(3, seed=4), 0.5 * random(3, seed=5))
    full = FullNormal(loc, raw.tril(-1) + torch.diag_embed(log_scale.exp()))
    gaussians = {"full": full, "low rank": LowRankNormal(loc, log_scale, raw[..., :2])}
    families = {
        "laplace": DiagonalLaplace(loc, log_scale),
        "logistic": DiagonalLogistic(loc, log_scale),
        "student-t": DiagonalStudentT(loc, log_scale, 5.0),
        "gumbel": DiagonalGumbel(loc, log_scale),
    }
    positive = {
        "exponential": DiagonalExponential(log_scale),
        "log-normal": DiagonalLogNormal(log_scale, 0.3 * loc - 0.5),
        "gamma": DiagonalGamma(log_scale, 0.5 * loc),
    }
    gamma = DiagonalGamma(0.5 * random(3, seed=4), 0.5 * random(3, seed=5))
    direction = loc / loc.norm(dim=-1, keepdim=True)
    kappa = torch.tensor([0.0, 0.1, 3.0, 30.0, 1e4]).double()
    return {
        **{f"{name} and standard": (q, standard) for name, q in {**gaussians, **families}.items()},
        **{f"{name} and diagonal": (q, diagonal) for name, q in {**gaussians, **families}.items()},
        **{f"{name} and gamma": (q, gamma) for name, q in positive.items()},
        "cauchy and cauchy": (DiagonalCauchy(loc, log_scale), DiagonalCauchy(random(3, seed=4), random(3, seed=5))),
        "beta and beta": (
            DiagonalBeta(0.5 * loc + 0.5, log_scale),
            DiagonalBeta(0.5 * random(3, seed=4), 0.5 * random(3, seed=5)),
        ),
        "kumaraswamy and beta": (
            Kumaraswamy(0.5 * loc + 0.5, log_scale),
            DiagonalBeta(0.5 * random(3, seed=4), 0.5 * random(3, seed=5)),
        ),
        "dirichlet and dirichlet": (Dirichlet(0.5 * loc + 0.5), Dirichlet(0.5 * random(3, seed=4))),
        "one-hot and one-hot": (StraightThroughOneHot(raw, 0.7), StraightThroughOneHot(random(3, 3, seed=4), 1.0)),
        "bernoulli and bernoulli": (BernoulliCodes(2 * loc), BernoulliCodes(random(3, seed=4))),
        "laplace and laplace": (families["laplace"], laplace),
        "diagonal and laplace": (DiagonalNormal(loc, log_scale), laplace),
        "fisher and uniform": (VonMisesFisher(direction, kappa), SphereUniform(3, loc)),
    }


OTHERS = others()


def test_every_pair_of_the_table_is_tested() -> None:
    tested = {(type(q), type(p)) for q, p in [*(pair[1:] for pair in pairs()), *OTHERS.values()]}
    assert tested == set(_TABLE)


@pytest.mark.parametrize("pair", OTHERS)
def test_rates_of_other_families_are_what_monte_carlo_finds(pair: str) -> None:
    torch.manual_seed(0)
    q, p = OTHERS[pair]
    z = q.sample(torch.Size((100_000,)))
    draws = q.log_prob(z) - p.log_prob(z)
    error = draws.std(0) / math.sqrt(len(draws))
    found = rate(q, p)
    assert found is not None
    assert found.shape in {(3, 5), (1, 5)}
    assert float(error.max()) < 0.05, "the test has no power: the standard error is too large"
    assert bool(((draws.mean(0) - found.sum(0)).abs() < 4.5 * error + 1e-9).all())


def test_rates_of_gammas_betas_and_dirichlets_are_torchs() -> None:
    a, b, c, d = (random(5, 3, seed=i).exp() for i in range(4))
    q, p = DiagonalGamma((a / b).log(), a.log()), DiagonalGamma((c / d).log(), c.log())
    peers = torch.distributions
    torch.testing.assert_close(rate(q, p), kl_divergence(peers.Gamma(a, b), peers.Gamma(c, d)).T)
    found = rate(DiagonalBeta(a.log(), b.log()), DiagonalBeta(c.log(), d.log()))
    torch.testing.assert_close(found, kl_divergence(peers.Beta(a, b), peers.Beta(c, d)).T)
    found = rate(Dirichlet(a.log()), Dirichlet(c.log()))
    torch.testing.assert_close(found, kl_divergence(peers.Dirichlet(a), peers.Dirichlet(c)).unsqueeze(0))


@pytest.mark.parametrize("size", [0.0, 3.0, 100.0, 1e4])
def test_the_rate_of_binary_codes_is_torchs_and_keeps_its_digits_at_extremes(size: float) -> None:
    a, b = size * random(5, 3, seed=0), random(3, seed=1)
    peer = kl_divergence(Bernoulli(logits=a), Bernoulli(logits=b.expand(5, 3))).T
    single = a.float().requires_grad_()
    found = rate(BernoulliCodes(single), BernoulliCodes(b.float()))
    assert found is not None
    (gradient,) = torch.autograd.grad(found.sum(), single)
    assert bool(torch.isfinite(gradient).all())
    torch.testing.assert_close(found.double(), peer, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(rate(BernoulliCodes(a), BernoulliCodes(b)), peer, rtol=1e-10, atol=1e-12)


ENDS = {
    "exponential": (DiagonalExponential, [(v,) for v in (-7.0, 20.0)], DiagonalGamma),
    "log-normal": (DiagonalLogNormal, [(m, s) for m in (-20.0, 20.0) for s in (-7.0, 1.5)], DiagonalGamma),
    "gamma": (DiagonalGamma, [(m, k) for m in (-20.0, 20.0) for k in (-1.6, 10.0)], DiagonalGamma),
    "beta": (DiagonalBeta, [(a, b) for a in (-0.7, 10.0) for b in (-0.7, 10.0)], DiagonalBeta),
    "kumaraswamy": (Kumaraswamy, [(a, b) for a in (-6.9, 6.0) for b in (-6.9, -1.0, 6.0)], DiagonalBeta),
    "cauchy": (DiagonalCauchy, [(m, s) for m in (0.0, 1e15) for s in (-7.0, 20.0)], DiagonalCauchy),
    "gumbel": (DiagonalGumbel, [(m, s) for m in (0.0, 1e6) for s in (-7.0, 20.0)], DiagonalNormal),
    "dirichlet": (Dirichlet, [(-1.6,), (10.0,)], Dirichlet),
}


@pytest.mark.parametrize("name", ENDS)
def test_rates_at_extreme_parameters_are_those_of_double_precision(name: str) -> None:
    family, ends, other = ENDS[name]
    zeros = torch.zeros(3)
    p = other(zeros) if other is Dirichlet else other(zeros, zeros + 0.5)
    exact = other(zeros.double()) if other is Dirichlet else other(zeros.double(), zeros.double() + 0.5)
    for end in ends:
        parameters = [torch.full((1, 3), value, requires_grad=True) for value in end]
        found, wide = rate(family(*parameters), p), rate(family(*(v.detach().double() for v in parameters)), exact)
        assert found is not None
        assert wide is not None
        gradients = torch.autograd.grad(found.sum(), parameters)
        assert all(bool(torch.isfinite(part).all()) for part in (found, *gradients))
        torch.testing.assert_close(found, wide.float(), rtol=1e-4, atol=1e-4)
        assert float(found.detach().min()) >= -1e-5


@pytest.mark.parametrize("number", [torch.float32, torch.float64])
@pytest.mark.parametrize("b", [1e-3, 0.01, 0.05, 0.5, 5.0, 50.0])
@pytest.mark.parametrize("d", [0.01, 0.1, 1.0, 5.0])
def test_the_rate_of_a_kumaraswamy_that_is_a_beta_is_torchs(b: float, d: float, number: torch.dtype) -> None:
    log_b = torch.tensor([[math.log(b)]], dtype=number, requires_grad=True)
    exact_b = log_b.detach().double().requires_grad_()
    log_d = torch.tensor([[math.log(d)]], dtype=number)
    found = rate(Kumaraswamy(torch.zeros_like(log_b), log_b), DiagonalBeta(torch.zeros_like(log_d), log_d))
    peers = torch.distributions
    expected = kl_divergence(peers.Beta(1.0, exact_b.exp()), peers.Beta(1.0, log_d.double().exp()))
    assert found is not None
    torch.testing.assert_close(found.double(), expected.T, rtol=1e-4, atol=1e-4)
    slopes = torch.autograd.grad(found.sum(), log_b)[0], torch.autograd.grad(expected.sum(), exact_b)[0]
    torch.testing.assert_close(slopes[0].double(), slopes[1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("concentration", [1e3, 1e5])
def test_the_rate_to_a_concentrated_gamma_keeps_its_digits(concentration: float) -> None:
    log_k = torch.tensor([[math.log(concentration)]])
    p, zero = DiagonalGamma(torch.zeros(1, 1), log_k), torch.zeros(1, 1)
    for q in (DiagonalLogNormal(zero + 0.01, zero - 5.0), DiagonalGamma(zero + 0.01, log_k - 1)):
        found = rate(q, p)
        exact = rate(q.double(), p.double())
        assert found is not None
        assert exact is not None
        torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("size", [0.0, 1e-6, 1e3])
@pytest.mark.parametrize("log_scale", [-7.0, 0.0, 7.0])
def test_rates_to_a_laplace_stay_finite_in_single_precision(size: float, log_scale: float) -> None:
    p = DiagonalLaplace(torch.zeros(1), torch.zeros(1))
    for family in (DiagonalLaplace, DiagonalNormal):
        parameters = (torch.full((1, 1), size, requires_grad=True), torch.full((1, 1), log_scale, requires_grad=True))
        found = rate(family(*parameters), p)
        assert found is not None
        gradients = torch.autograd.grad(found.sum(), parameters)
        assert all(bool(torch.isfinite(part).all()) for part in (found, *gradients))
        assert float(found.detach()) >= -1e-6


def test_the_rate_of_a_distribution_to_itself_is_zero_and_else_positive() -> None:
    q = DiagonalNormal(random(5, 3, seed=0), random(5, 3, seed=1))
    assert rate(q, q) is not None
    torch.testing.assert_close(rate(q, q), torch.zeros(3, 5).double())
    for _, _, p in pairs():
        found = rate(q, p)
        assert found is not None
        assert bool((found > 0).all())


def test_rates_have_gradients_of_finite_differences() -> None:
    parameters = tuple(random(2, 3, seed=i).requires_grad_() for i in range(4))

    def both(m: Tensor, v: Tensor, n: Tensor, w: Tensor) -> Tensor:
        q = DiagonalNormal(m, v)
        first, second = rate(q, StandardNormal(3, m)), rate(q, DiagonalNormal(n, w))
        assert first is not None
        assert second is not None
        return torch.stack([first, second])

    assert torch.autograd.gradcheck(both, parameters)


def test_a_pair_without_a_closed_form_is_said_to_have_none() -> None:
    assert rate(LogitBernoulli(torch.zeros(2, 3)), StandardNormal(3, torch.zeros(()))) is None
