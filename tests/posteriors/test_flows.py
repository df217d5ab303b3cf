"""Flow posteriors: one pass for their own draws, the same density by the inverse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nelbo.core import Posterior
from nelbo.distributions import draw_common, rsample_with_log_prob
from nelbo.distributions.flows import Affine, Pushed
from nelbo.distributions.kl import rate, rate_of_draws
from nelbo.distributions.normal import DiagonalNormal, StandardNormal
from nelbo.errors import CompositionError, ConfigError
from nelbo.networks import MLP
from nelbo.posteriors import (
    HouseholderPosterior,
    InverseAutoregressivePosterior,
    PlanarPosterior,
    RadialPosterior,
    SplinePosterior,
    SylvesterPosterior,
)

DIM, ROWS = 3, 4
FLOWS: dict[str, Callable[[], Posterior]] = {
    "iaf": lambda: InverseAutoregressivePosterior(MLP(5, 3 * DIM), DIM, steps=3, hidden=16),
    "planar": lambda: PlanarPosterior(MLP(5, PlanarPosterior.outputs(DIM, 3)), DIM, steps=3),
    "radial": lambda: RadialPosterior(MLP(5, RadialPosterior.outputs(DIM, 3)), DIM, steps=3),
    "sylvester": lambda: SylvesterPosterior(MLP(5, SylvesterPosterior.outputs(DIM, 2, 3)), DIM, steps=2, reflections=3),
    "householder": lambda: HouseholderPosterior(MLP(5, 3 * DIM), DIM, steps=3),
    "spline": lambda: SplinePosterior(MLP(5, 3 * DIM), DIM, steps=2, bins=4, hidden=16),
}


@pytest.fixture(params=FLOWS)
def q(request: pytest.FixtureRequest) -> Pushed:
    return made(request.param, spread=0.2)


def made(name: str, spread: float) -> Pushed:
    torch.manual_seed(0)
    posterior = FLOWS[name]().double()
    with torch.no_grad():
        for p in posterior.parameters():
            p.add_(spread * torch.randn_like(p))
    found: Pushed = posterior(torch.randn(ROWS, 5, dtype=torch.float64))
    return found


def test_the_density_of_its_own_draws_is_that_of_the_inverse(q: Pushed) -> None:
    z, log_q = q.rsample_with_log_prob(torch.Size((6,)))
    assert (z.shape, log_q.shape) == ((6, ROWS, DIM), (6, ROWS))
    torch.testing.assert_close(q.log_prob(z), log_q, rtol=1e-8, atol=1e-8)


def test_the_density_is_that_of_the_whole_jacobian(q: Pushed) -> None:
    e = torch.randn(DIM, dtype=torch.float64)

    def push(noise: Tensor) -> Tensor:
        return q.from_noise(noise.expand(1, ROWS, DIM))[0, 0]

    jacobian = torch.autograd.functional.jacobian(push, e)
    standard = torch.distributions.Normal(0.0, 1.0).log_prob(e).sum()
    expected = standard - torch.linalg.slogdet(jacobian).logabsdet
    found = q.from_noise_with_log_prob(e.expand(1, ROWS, DIM))[1][0, 0]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", FLOWS)
@torch.no_grad()
def test_the_rate_of_draws_is_the_plain_estimate_with_a_control_variate_of_mean_zero(name: str) -> None:
    """Paired with the plain estimate of the same draws it differs by log q_0 - log p of the base less its mean."""
    q = made(name, spread=0.05)
    p = StandardNormal(DIM, torch.zeros((), dtype=torch.float64))
    torch.manual_seed(1)
    drawn = rate_of_draws(q, p, 20_000)
    assert drawn is not None
    z, kl = drawn
    assert (z.shape, kl.shape) == ((20_000, ROWS, DIM), (1, 20_000, ROWS))
    plain = q.log_prob(z[:200]) - p.log_prob(z[:200])
    torch.manual_seed(1)
    e = q.base.rsample(torch.Size((20_000,)))
    of_base = q.base.log_prob(e) - p.log_prob(e)
    torch.testing.assert_close(kl[0, :200], plain - of_base[:200] + rate(q.base, p).sum(0), rtol=1e-8, atol=1e-8)  # type: ignore[union-attr]
    error = of_base.std(0) / len(e) ** 0.5
    assert float(error.max()) < 0.05
    assert bool(((of_base.mean(0) - rate(q.base, p).sum(0)).abs() <= 4.5 * error + 1e-12).all())  # type: ignore[union-attr]


def test_the_rate_of_draws_has_no_noise_where_the_flow_is_the_identity() -> None:
    base = DiagonalNormal(torch.randn(ROWS, DIM), torch.randn(ROWS, DIM))
    p = StandardNormal(DIM, torch.zeros(()))
    drawn = rate_of_draws(Pushed(base, [Affine(torch.zeros(ROWS, DIM), torch.zeros(ROWS, DIM))]), p, 5)
    assert drawn is not None
    torch.testing.assert_close(drawn[1][0], rate(base, p).sum(0).expand(5, ROWS))  # type: ignore[union-attr]
    assert rate_of_draws(base, p, 5) is None


def test_autoregressive_maps_start_next_to_the_identity() -> None:
    posterior = FLOWS["iaf"]()
    q = posterior(torch.randn(ROWS, 5))
    assert isinstance(q, Pushed)
    e = torch.randn(100, ROWS, DIM)
    z, ladj = q.push(e)
    torch.testing.assert_close(z, e, rtol=0, atol=0.1)
    torch.testing.assert_close(ladj, torch.zeros(100, ROWS), rtol=0, atol=0.1)


def test_a_single_latent_is_moved_as_well() -> None:
    q = InverseAutoregressivePosterior(MLP(5, 3), 1, steps=2, hidden=8)(torch.randn(ROWS, 5))
    z, log_q = rsample_with_log_prob(q, 6)
    assert z.shape == (6, ROWS, 1)
    assert log_q is not None
    torch.testing.assert_close(log_q, q.log_prob(z), rtol=1e-4, atol=1e-4)


def test_the_drawing_functions_take_the_one_pass(q: Pushed, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(self: Pushed, value: Tensor) -> Tensor:
        raise AssertionError("the inverse was asked for")

    monkeypatch.setattr(Pushed, "log_prob", never)
    assert rsample_with_log_prob(q, 2)[1] is not None
    z, log_q = draw_common(q, 5, torch.Generator().manual_seed(0))
    assert (z.shape, log_q.shape) == ((5, ROWS, DIM), (5, ROWS))


@pytest.mark.parametrize("name", FLOWS)
def test_moments_are_those_of_fixed_draws(name: str) -> None:
    q = made(name, spread=0.05)
    torch.manual_seed(3)
    drawn = q.rsample(torch.Size((20_000,)))
    error = 4.5 * (q.variance / 256).sqrt()
    assert bool(((drawn.mean(0) - q.mean).abs() < error).all())
    torch.testing.assert_close(q.mean, q.mean)


def test_reflections_turn_a_gaussian_and_leave_it_one() -> None:
    q = made("householder", spread=0.3)
    e = torch.eye(DIM, dtype=torch.float64).unsqueeze(1)
    origin = q.from_noise(torch.zeros(1, 1, DIM, dtype=torch.float64))
    factor = (q.from_noise(e) - origin).permute(1, 2, 0)  # [B, D, D]
    peer = torch.distributions.MultivariateNormal(origin[0], factor @ factor.mT)
    z = torch.randn(6, ROWS, DIM, dtype=torch.float64)
    torch.testing.assert_close(q.log_prob(z), peer.log_prob(z))
    assert bool(((factor @ factor.mT).tril(-1).abs() > 1e-3).any())  # not diagonal any more


def test_a_sylvester_step_is_the_formula_of_its_paper() -> None:
    """z + Q R tanh(S Q'z + b), with its determinant by automatic differentiation checked above."""
    posterior = SylvesterPosterior(MLP(5, SylvesterPosterior.outputs(DIM, 1, 2)), DIM, steps=1, reflections=2).double()
    with torch.no_grad():
        for p in posterior.parameters():
            p.add_(0.5 * torch.randn_like(p))
    x, noise = torch.randn(1, 5, dtype=torch.float64), torch.randn(1, DIM, dtype=torch.float64)
    out = posterior.get_submodule("network")(x)[0].detach()
    v1, v2, b, r, s, above_r, above_s = torch.split(out[2 * DIM :], [DIM] * 5 + [3, 3])
    eye = torch.eye(DIM, dtype=torch.float64)
    first, second = (eye - 2 * torch.outer(v, v) / v.dot(v) for v in (v1, v2))
    q = first @ second
    outer, inner = (torch.diag(0.999 * torch.tanh(diagonal)) for diagonal in (r, s))
    rows, columns = (0, 0, 1), (1, 2, 2)
    outer[rows, columns], inner[rows, columns] = above_r, above_s
    found = posterior(x)
    e = found.base.from_noise(noise)[0]
    expected = e + q @ outer @ torch.tanh(inner @ q.T @ e + b)
    torch.testing.assert_close(found.from_noise(noise)[0], expected)


def test_splines_bend_where_the_latents_are() -> None:
    """Far from the origin as near it: the density of the standardised latents is what the splines shape."""
    torch.manual_seed(0)
    posterior = FLOWS["spline"]().double()
    x = torch.randn(ROWS, 5, dtype=torch.float64)
    near = posterior(x)
    z = near.sample((5,))
    with torch.no_grad():
        *_, last = posterior.get_submodule("network").parameters()
        last[:DIM] += 100.0
    torch.testing.assert_close(posterior(x).log_prob(z + 100.0), near.log_prob(z), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PlanarPosterior(MLP(5, 6), 3, steps=0), "planar:steps=4"),
        (lambda: HouseholderPosterior(MLP(5, 9), 3, steps=0), "householder:steps=4"),
        (lambda: RadialPosterior(MLP(5, 6), 3, steps=0), "radial:steps=4"),
        (lambda: SylvesterPosterior(MLP(5, 6), 3, reflections=0), "sylvester:steps=4,reflections=4"),
        (lambda: SplinePosterior(MLP(5, 9), 3, bins=1), "spline:steps=2,bins=8"),
    ],
)
def test_a_flow_without_a_step_is_refused_with_the_remedy(make: Callable[[], Posterior], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make()


def test_it_needs_a_step_and_a_network_of_its_size() -> None:
    with pytest.raises(ConfigError, match="1 step or more"):
        InverseAutoregressivePosterior(MLP(5, 9), 3, steps=0)
    with pytest.raises(CompositionError, match="needs a network with 9 outputs, but this one has 6"):
        InverseAutoregressivePosterior(MLP(5, 6), 3)
