"""Unit vectors: von Mises and Fisher's density against SciPy's and Bessel functions, its draws against quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.special import ive
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.distributions import draw_common
from nelbo.distributions.sphere import SphereUniform, VonMisesFisher, log_area

DIMS = (2, 3, 4, 5, 10, 25, 50)
CASES = [(2, 0.5), (2, 40.0), (3, 5.0), (5, 0.01), (10, 30.0), (50, 20.0), (50, 1e4)]
EVERY = pytest.mark.parametrize(("dim", "kappa"), CASES)


def law(dim: int, kappa: float, dtype: torch.dtype = torch.float64) -> VonMisesFisher:
    loc = torch.randn(1, dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)
    return VonMisesFisher((loc / loc.norm()).to(dtype), torch.tensor([kappa], dtype=dtype))


def angle_density(dim: int, kappa: float) -> Callable[[float], float]:
    """Of the angle s to the mean direction, by SciPy's Bessel function, written over the value at kappa's own scale."""
    order = dim / 2 - 1
    log_c = order * math.log(kappa) - dim / 2 * math.log(2 * math.pi) - math.log(ive(order, kappa))

    def density(s: float) -> float:
        sine = (dim - 2) * math.log(max(math.sin(s), 1e-300)) if dim > 2 else 0.0
        return math.exp(log_c + log_area(dim - 1) + kappa * (math.cos(s) - 1) + sine)

    return density


def below(dim: int, kappa: float, s: float) -> float:
    """Its distribution function, by quadrature where the mass is."""
    spread = 15 / math.sqrt(kappa + dim)
    low = max(0.0, s - 2 * spread)
    return float(integrate.quad(angle_density(dim, kappa), low, s, limit=400, epsabs=1e-13, epsrel=1e-11)[0])


@pytest.mark.parametrize("dim", DIMS)
def test_the_normaliser_is_the_bessel_function(dim: int) -> None:
    kappa = np.array([1e-3, 0.1, 1.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e4])
    q = VonMisesFisher(torch.eye(dim).double()[:1].expand(9, dim), torch.from_numpy(kappa))
    order = dim / 2 - 1
    log_c = order * np.log(kappa) - dim / 2 * math.log(2 * math.pi) - np.log(ive(order, kappa))
    np.testing.assert_allclose(q.log_peak, log_c, rtol=1e-12, atol=1e-11)  # log p(loc) = log C + kappa
    ratio = ive(order + 1, kappa) / ive(order, kappa)
    np.testing.assert_allclose(q.mean[:, 0], ratio, rtol=1e-10)


@pytest.mark.parametrize(("dim", "kappa"), [(2, 3.0), (3, 5.0), (5, 0.01), (10, 300.0), (50, 20.0)])
def test_the_density_and_entropy_are_scipys(dim: int, kappa: float) -> None:
    q = law(dim, kappa)
    z = SphereUniform(dim, torch.zeros((), dtype=torch.float64)).sample((20,))
    peer = stats.vonmises_fisher(q.loc[0].numpy(), kappa)
    np.testing.assert_allclose(q.log_prob(z), peer.logpdf(z.numpy()), rtol=1e-9, atol=1e-9)
    assert float(q.entropy()[0]) == pytest.approx(peer.entropy(), rel=1e-9)


@pytest.mark.parametrize("kappa", [0.0, 0.5, 20.0])
def test_the_density_integrates_to_one_over_circle_and_sphere(kappa: float) -> None:
    turn = torch.linspace(0, 2 * math.pi, 2001, dtype=torch.float64)[:-1]
    circle = torch.stack([turn.cos(), turn.sin()], -1)
    total = float(law(2, kappa).log_prob(circle).exp().sum()) * 2 * math.pi / 2000
    assert total == pytest.approx(1.0, abs=1e-10)
    height = torch.linspace(-1, 1, 2001, dtype=torch.float64)[:-1] + 5e-4  # equal areas for equal heights
    turn, height = turn[::10].unsqueeze(0), height.unsqueeze(1)
    flat = torch.sqrt(1 - height.square())
    sphere = torch.stack([flat * turn.cos(), flat * turn.sin(), height.expand(-1, turn.shape[1])], -1)
    total = float(law(3, kappa).log_prob(sphere).exp().sum()) * 1e-3 * 2 * math.pi / 200
    assert total == pytest.approx(1.0, abs=1e-4)


@EVERY
def test_draws_have_the_angles_of_quadrature_and_any_direction_around_the_mean(dim: int, kappa: float) -> None:
    torch.manual_seed(0)
    q = law(dim, kappa)
    z = q.rsample((4_000,))[:, 0]
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(4_000).double())
    angle = 2 * torch.asin(((z - q.loc[0]).norm(dim=-1) / 2).clamp(max=1.0))
    grid = np.linspace(0, math.pi if kappa < 100 else 0.3, 4_001)
    heights = [angle_density(dim, kappa)(s) for s in grid]
    cumulative = integrate.cumulative_simpson(heights, x=grid, initial=0)
    assert cumulative[-1] == pytest.approx(1.0, abs=1e-6)
    found = stats.kstest(angle.numpy(), lambda s: np.interp(s, grid, cumulative))
    assert found.pvalue > 1e-3 / len(CASES)
    error = (q.variance[0] / len(z)).sqrt()
    assert float(error.max()) < 0.02, "the test has no power: the standard error is too large"
    assert bool(((z.mean(0) - q.mean[0]).abs() < 5 * error).all())
    fourth = (z - z.mean(0)).pow(4).mean(0)
    spread = ((fourth - q.variance[0].square()) / len(z)).sqrt()
    assert bool(((z.var(0) - q.variance[0]).abs() < 5 * spread).all())


@EVERY
@pytest.mark.parametrize("quantile", [-3.0, -0.5, 0.0, 1.0, 3.0])
def test_the_gradient_of_a_draw_is_that_of_the_quantile_function(dim: int, kappa: float, quantile: float) -> None:
    """ds / dkappa = -(dG / dkappa) / g, with G from SciPy's quadrature and a central difference."""
    torch.manual_seed(0)
    q = VonMisesFisher(law(dim, kappa).loc, torch.tensor([kappa], dtype=torch.float64, requires_grad=True))
    z = q.rsample((400,))
    cosine = (z * q.loc).sum(-1)[:, 0]
    chosen = int(torch.argsort(cosine)[int(400 * float(torch.special.ndtr(torch.tensor(quantile))))])
    (found,) = torch.autograd.grad(cosine[chosen], q.concentration)
    s = 2 * math.asin(min(1.0, float((z[chosen, 0] - q.loc[0]).norm().detach()) / 2))
    step = 1e-4 * max(kappa, 1e-1) if kappa > 0.05 else 1e-3 * kappa
    slope = (below(dim, kappa + step, s) - below(dim, kappa - step, s)) / (2 * step)
    expected = math.sin(s) * slope / angle_density(dim, kappa)(s)  # d cos(s) = -sin(s) ds
    assert float(found) == pytest.approx(expected, rel=2e-4, abs=1e-9)


def test_the_mean_gradient_of_the_draws_is_the_gradient_of_the_mean() -> None:
    # d/dkappa E[loc' z] = Var[loc' z]; the derivative of the accepted proposal alone would miss it.
    torch.manual_seed(0)
    for dim, kappa in ((3, 1.0), (10, 5.0)):
        concentration = torch.full((20_000,), kappa, dtype=torch.float64, requires_grad=True)
        q = VonMisesFisher(law(dim, kappa).loc.expand(20_000, dim), concentration)
        (slopes,) = torch.autograd.grad((q.rsample() * q.loc).sum(), concentration)
        ratio = ive(dim / 2, kappa) / ive(dim / 2 - 1, kappa)
        expected = 1 - ratio**2 - (dim - 1) * ratio / kappa
        error = float(slopes.std()) / len(slopes) ** 0.5
        assert error < 0.02 * expected, "the test has no power: the standard error is too large"
        assert float(slopes.mean()) == pytest.approx(expected, abs=4.5 * error)


@pytest.mark.parametrize("dim", [2, 3, 50])
@pytest.mark.parametrize("kappa", [1e-2, 3.0, 200.0, 1e4])
def test_gradients_of_densities_and_rates_are_finite_differences(dim: int, kappa: float) -> None:
    q = law(dim, kappa)
    z = q.sample((3,))
    concentration, loc = q.concentration.requires_grad_(), q.loc.requires_grad_()
    assert gradcheck(lambda m, k: VonMisesFisher(m, k).log_prob(z), (loc, concentration), eps=1e-6, atol=1e-4)
    # In log kappa, whose differences have digits at either end.
    log_kappa = q.concentration.detach().log().requires_grad_()
    assert gradcheck(lambda t: VonMisesFisher(q.loc.detach(), t.exp()).rate_to_uniform(), (log_kappa,), atol=1e-6)
    assert gradcheck(lambda t: VonMisesFisher(q.loc.detach(), t.exp()).mean, (log_kappa,), atol=1e-6)


def test_a_draw_turns_with_its_mean_direction() -> None:
    noise = torch.randn(4, 1, law(4, 3.0).noise_size, dtype=torch.float64)
    raw = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)

    def draw(raw: Tensor) -> Tensor:
        loc = raw / raw.norm(dim=-1, keepdim=True)
        return VonMisesFisher(loc, torch.full((2,), 3.0).double()).from_noise(noise)

    assert gradcheck(draw, (raw,))


@pytest.mark.parametrize("dim", [2, 3, 50])
@pytest.mark.parametrize("kappa", [0.0, 1e-6, 1.0, 1e4, 1e6])
def test_extremes_stay_finite_and_on_the_sphere_in_single_precision(dim: int, kappa: float) -> None:
    torch.manual_seed(0)
    loc = law(dim, kappa, torch.float32).loc.requires_grad_()
    concentration = torch.tensor([kappa], requires_grad=True)
    q = VonMisesFisher(loc, concentration)
    z = q.rsample((50,))
    log_q = q.log_prob(z)
    gradients = torch.autograd.grad((log_q + q.rate_to_uniform()).sum(), (loc, concentration))
    torch.testing.assert_close(z.norm(dim=-1), torch.ones(50, 1), rtol=0, atol=1e-5)
    assert all(bool(torch.isfinite(part).all()) for part in (z, log_q, *gradients))
    double = VonMisesFisher(loc.double(), concentration.double())
    torch.testing.assert_close(log_q, double.log_prob(z.double()).float(), rtol=1e-4, atol=2e-3)
    assert float(q.rate_to_uniform().detach()) >= -1e-6


def test_at_no_concentration_it_is_uniform() -> None:
    for dim in DIMS:
        z = SphereUniform(dim, torch.zeros((), dtype=torch.float64)).sample((5,))
        uniform = SphereUniform(dim, torch.zeros((), dtype=torch.float64)).log_prob(z)
        torch.testing.assert_close(law(dim, 0.0).log_prob(z), uniform)
        torch.testing.assert_close(uniform.exp(), torch.full((5,), 1 / math.exp(log_area(dim))).double())
    assert math.exp(log_area(2)) == pytest.approx(2 * math.pi)
    assert math.exp(log_area(3)) == pytest.approx(4 * math.pi)


def test_uniform_directions_are_those_of_the_beta_law() -> None:
    torch.manual_seed(0)
    z = SphereUniform(4, torch.zeros((), dtype=torch.float64)).sample((20_000,))
    for d in range(4):  # (1 + z_d) / 2 ~ Beta((D - 1) / 2, (D - 1) / 2)
        assert stats.kstest((0.5 + 0.5 * z[:, d]).numpy(), stats.beta(1.5, 1.5).cdf).pvalue > 1e-3 / 4


def test_rows_share_their_noise_and_nothing_else() -> None:
    loc = torch.nn.functional.normalize(torch.randn(4, 6, dtype=torch.float64), dim=-1)
    kappa = torch.tensor([0.1, 3.0, 50.0, 1e4]).double()
    z, log_q = draw_common(VonMisesFisher(loc, kappa), 200, torch.Generator().manual_seed(1))
    for row in range(4):
        q = VonMisesFisher(loc[row : row + 1], kappa[row : row + 1])
        alone, log_alone = draw_common(q, 200, torch.Generator().manual_seed(1))
        torch.testing.assert_close(alone[:, 0], z[:, row])
        torch.testing.assert_close(log_alone[:, 0], log_q[:, row])


def test_a_stopped_density_is_the_same_without_its_gradient() -> None:
    q = law(5, 3.0)
    q = VonMisesFisher(q.loc.requires_grad_(), q.concentration.requires_grad_())
    z = q.sample((4,))
    torch.testing.assert_close(q.stopped().log_prob(z), q.log_prob(z))
    assert not q.stopped().log_prob(z).requires_grad
