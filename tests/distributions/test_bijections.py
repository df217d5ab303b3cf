"""Planar, radial and triangular maps, reflections: Jacobians by automatic differentiation, inverses, extremes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from nelbo.core import Draw
from nelbo.distributions import DiagonalNormal, rsample_with_log_prob
from nelbo.distributions.bijections import Householder, Planar, Radial, Triangular
from nelbo.distributions.flows import Affine, Bijection, Pushed
from nelbo.errors import CompositionError

ROWS, DIM = 4, 3


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def maps() -> dict[str, Bijection]:
    u, w, b = random(ROWS, DIM, seed=0), random(ROWS, DIM, seed=1), random(ROWS, seed=2)
    return {
        "planar": Planar(3 * u, w, b),
        "planar, nearly folded": Planar(-8 * w, w, b),
        "planar, steep": Planar(20 * w, 5 * w, b),
        "radial": Radial(u, b, b + w[:, 0]),
        "radial, nearly a hole": Radial(0.1 * u, torch.zeros_like(b), torch.full_like(b, -7.0)),
        "radial, pushing far": Radial(0.1 * u, torch.full_like(b, -2.0), torch.full_like(b, 3.0)),
        "triangular": Triangular(*(_upper(seed, 0.9) for seed in (6, 7)), u),
        "triangular, nearly folded": Triangular(_upper(6, 0.999), -_upper(6, 0.999), 0.1 * u),
        "householder": Householder(u),
        "affine": Affine(u, w),
    }


def _upper(seed: int, edge: float) -> Tensor:
    """Upper triangular matrices whose diagonals lie between 0.5 and `edge`, with something below that is not read."""
    raw = random(ROWS, DIM, DIM, seed=seed)
    return (
        raw
        - torch.diag_embed(torch.diagonal(raw, dim1=-2, dim2=-1))
        + torch.diag_embed(edge - random(ROWS, DIM, seed=seed).abs().clamp(max=0.3))
    )


EVERY = pytest.mark.parametrize("name", maps())


@EVERY
def test_the_log_determinant_is_that_of_the_whole_jacobian(name: str) -> None:
    bijection, e = maps()[name], random(ROWS, DIM, seed=3)
    z, ladj = bijection.call_and_ladj(e)
    assert (z.shape, ladj.shape) == ((ROWS, DIM), (ROWS,))
    jacobian = torch.autograd.functional.jacobian(lambda e: bijection.call_and_ladj(e)[0], e)
    for row in range(ROWS):
        expected = torch.linalg.slogdet(jacobian[row, :, row]).logabsdet
        torch.testing.assert_close(ladj[row], expected, rtol=1e-8, atol=1e-8)


@EVERY
def test_the_inverse_comes_back_with_the_opposite_determinant(name: str) -> None:
    bijection, e = maps()[name], random(5, ROWS, DIM, seed=3)
    z, ladj = bijection.call_and_ladj(e)
    found, opposite = bijection.inv.call_and_ladj(z)
    torch.testing.assert_close(found, e, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(opposite, -ladj, rtol=1e-7, atol=1e-6)


def test_gradients_of_planar_maps_and_their_inverses_are_finite_differences() -> None:
    parameters = tuple(p.requires_grad_() for p in (random(2, 3, seed=0), random(2, 3, seed=1), random(2, seed=2)))
    value = random(2, 3, seed=3).requires_grad_()
    assert gradcheck(lambda x, *p: Planar(*p).call_and_ladj(x), (value, *parameters))
    assert gradcheck(lambda x, *p: Planar(*p).invert_and_ladj(x), (value, *parameters))


def test_gradients_of_radial_and_triangular_maps_and_their_inverses_are_finite_differences() -> None:
    value = random(2, 3, seed=3).requires_grad_()
    radial = tuple(p.requires_grad_() for p in (random(2, 3, seed=0), random(2, seed=1), random(2, seed=2)))
    assert gradcheck(lambda x, *p: Radial(*p).call_and_ladj(x), (value, *radial))
    assert gradcheck(lambda x, *p: Radial(*p).invert_and_ladj(x), (value, *radial))
    matrices = (0.4 * random(2, 3, 3, seed=4), 0.4 * random(2, 3, 3, seed=5), random(2, 3, seed=6))
    triangular = tuple(p.requires_grad_() for p in matrices)
    assert gradcheck(lambda x, *p: Triangular(*p).call_and_ladj(x), (value, *triangular))
    assert gradcheck(lambda x, *p: Triangular(*p).invert_and_ladj(x), (value, *triangular))


def test_a_radial_map_is_the_formula_of_its_paper() -> None:
    c, z = random(ROWS, DIM, seed=0), random(ROWS, DIM, seed=3)
    alpha, slope = random(ROWS, seed=1).exp(), random(ROWS, seed=2).exp()
    beta, r = slope - alpha, (z - c).norm(dim=-1)
    h = 1 / (alpha + r)
    found, ladj = Radial(c, alpha.log(), slope.log()).call_and_ladj(z)
    torch.testing.assert_close(found, z + (beta * h).unsqueeze(-1) * (z - c))
    expected = (DIM - 1) * torch.log(1 + beta * h) + torch.log(1 + beta * h - beta * h.square() * r)
    torch.testing.assert_close(ladj, expected)


@pytest.mark.parametrize("log_reach", [-7.0, 5.0])
@pytest.mark.parametrize("log_slope", [-7.0, 5.0])
@pytest.mark.parametrize("far", [0.0, 1e-6, 1e6])
def test_radial_maps_stay_finite_in_single_precision(log_reach: float, log_slope: float, far: float) -> None:
    centre = torch.zeros(1, 3, requires_grad=True)
    parameters = (centre, *(torch.full((1,), v, requires_grad=True) for v in (log_reach, log_slope)))
    radial = Radial(*parameters)
    z, ladj = radial.call_and_ladj(torch.full((1, 3), far))
    back, opposite = radial.invert_and_ladj(z)
    gradients = torch.autograd.grad(z.sum() + ladj.sum() + back.sum() + opposite.sum(), parameters)
    assert all(bool(torch.isfinite(part).all()) for part in (z, ladj, back, opposite, *gradients))
    torch.testing.assert_close(back, torch.full((1, 3), far), rtol=1e-4, atol=1e-5)


def test_triangular_maps_stay_finite_in_single_precision_where_they_nearly_fold() -> None:
    outer = (0.999 * torch.eye(3)).requires_grad_()
    inner = (-0.999 * torch.eye(3)).requires_grad_()
    triangular = Triangular(outer, inner, torch.zeros(3))
    for e in (torch.zeros(2, 3), torch.full((2, 3), 1e4)):
        z, ladj = triangular.call_and_ladj(e)
        back, _ = triangular.invert_and_ladj(z)
        gradients = torch.autograd.grad(ladj.sum() + z.sum() + back.sum(), (outer, inner), retain_graph=True)
        assert all(bool(torch.isfinite(part).all()) for part in (z, ladj, back, *gradients))


def test_reflections_are_orthogonal_and_their_own_inverse() -> None:
    reflection = Householder(random(DIM, seed=0))
    matrix = reflection.call_and_ladj(torch.eye(DIM).double())[0]
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(DIM).double())
    assert float(torch.linalg.det(matrix)) == pytest.approx(-1.0)


@pytest.mark.parametrize("size", [1e-6, 1.0, 100.0])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_planar_maps_stay_finite_in_single_precision(size: float, sign: float) -> None:
    w = torch.full((1, 3), size)
    parameters = tuple(p.requires_grad_() for p in (sign * w, w.clone(), torch.zeros(1)))
    planar = Planar(*parameters)
    for e in (torch.zeros(1, 3), torch.full((1, 3), 1e4)):
        z, ladj = planar.call_and_ladj(e)
        back, _ = planar.invert_and_ladj(z)
        gradients = torch.autograd.grad(ladj.sum() + z.sum() + back.sum(), parameters, retain_graph=True)
        assert all(bool(torch.isfinite(part).all()) for part in (z, ladj, back, *gradients))


def pushed(name: str) -> Pushed:
    return Pushed(DiagonalNormal(random(ROWS, DIM, seed=4), random(ROWS, DIM, seed=5)), [maps()[name]])


@EVERY
def test_the_density_has_the_moments_of_its_draws(name: str) -> None:
    """E_q[p(z) / q(z)] = 1 for any density p that q covers: the density of draws is normalised."""
    torch.manual_seed(0)
    q = pushed(name)
    z, log_q = q.rsample_with_log_prob(torch.Size((20_000,)))
    torch.testing.assert_close(q.log_prob(z[:50]), log_q[:50], rtol=1e-6, atol=1e-6)
    middle, spread = z.mean(0), z.std(0)
    log_p = DiagonalNormal(middle, 2 * torch.log(0.3 * spread)).log_prob(z)
    ratio = torch.exp(log_p - log_q)
    error = ratio.std(0) / math.sqrt(len(z))
    held = error < 0.1
    assert bool(held.any()), "the test has no power: the standard error is too large"
    assert bool(((ratio.mean(0) - 1).abs() < 4.5 * error)[held].all())


@pytest.mark.parametrize("name", ["planar", "radial", "triangular", "householder", "affine"])
def test_a_stopped_density_is_the_same_with_the_gradient_through_z_alone(name: str) -> None:
    q = pushed(name)
    z, log_q = q.rsample_with_log_prob(torch.Size((3,)))
    torch.testing.assert_close(q.stopped().log_prob(z), log_q)
    q.base.loc.requires_grad_()
    z, log_q_stopped = rsample_with_log_prob(q, 1, Draw.STOPPED)
    assert log_q_stopped is not None
    (through_z,) = torch.autograd.grad(log_q_stopped.sum(), z, retain_graph=True)
    (found,) = torch.autograd.grad(log_q_stopped.sum(), q.base.loc, retain_graph=True)
    (expected,) = torch.autograd.grad(z, q.base.loc, through_z)
    torch.testing.assert_close(found, expected)


def test_a_map_with_a_network_of_its_own_cannot_be_stopped() -> None:
    q = Pushed(DiagonalNormal(torch.zeros(1, 3), torch.zeros(1, 3)), [torch.distributions.ExpTransform()])
    with pytest.raises(CompositionError, match="use gradient=pathwise, or --posterior planar or householder"):
        q.stopped()
