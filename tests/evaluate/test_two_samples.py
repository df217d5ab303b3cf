"""Distances of samples against closed forms of Gaussians, SciPy's roots and scikit-learn's kernels, and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import polynomial_kernel
from torch import Tensor

from nelbo.errors import DataError
from nelbo.evaluate.two_samples import Manifold, frechet_distance, kernel_distance, overlap


def normal(n: int, dim: int, seed: int = 0) -> Tensor:
    return torch.randn(n, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_moments(mean: list[float], deviation: list[float]) -> Tensor:
    """Corners of a box: exactly these means and unbiased deviations, without correlation."""
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * len(mean))
    unbiased = ((len(corners) - 1) / len(corners)) ** 0.5
    shift, scale = torch.tensor([mean, deviation], dtype=torch.float64)
    return shift + unbiased * scale * corners


def test_frechet_distance_of_independent_gaussians_is_the_closed_form() -> None:
    x, y = with_moments([0.0, 1.0, -2.0], [1.0, 2.0, 0.5]), with_moments([1.0, 1.0, 0.0], [3.0, 2.0, 0.1])
    # sum of (m - m')^2 + (s - s')^2
    assert frechet_distance(x, y) == pytest.approx(1 + 4 + 4 + 0.4**2, abs=1e-10)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-10)


def test_frechet_distance_takes_the_root_that_scipy_takes() -> None:
    x = normal(80, 5) @ normal(5, 5, 1)
    y = normal(60, 5, 2) @ normal(5, 5, 3) + 0.3
    a, b = np.cov(x.numpy().T), np.cov(y.numpy().T)
    root = sqrtm(a @ b)
    expected = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(a + b - 2 * np.real(root))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-10)


def test_frechet_distance_with_fewer_rows_than_features() -> None:
    x, y = normal(6, 10), normal(30, 10, 1)
    a, b = np.cov(x.numpy().T), np.cov(y.numpy().T)
    eigenvalues = np.linalg.eigvals(a @ b).real.clip(0)
    expected = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(a + b) - 2 * np.sqrt(eigenvalues).sum()
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_is_the_double_loop_over_pairs() -> None:
    x, y = normal(9, 4), 0.5 * normal(7, 4, 1) + 1

    def k(a: Tensor, b: Tensor) -> float:
        return float((a @ b / 4 + 1) ** 3)

    within = [np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)]
    across = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y).value == pytest.approx(sum(within) - 2 * across, rel=1e-12)


def test_the_error_of_the_kernel_distance_is_that_of_leaving_one_row_out() -> None:
    x, y = normal(12, 3), 1.5 * normal(8, 3, 1)

    def value(x: Tensor, y: Tensor) -> float:
        inside = [polynomial_kernel(s.numpy(), degree=3) for s in (x, y)]  # (a'b / F + 1)^3
        means = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in inside]
        return float(sum(means) - 2 * polynomial_kernel(x.numpy(), y.numpy(), degree=3).mean())

    without_x = [value(torch.cat([x[:i], x[i + 1 :]]), y) for i in range(len(x))]
    without_y = [value(x, torch.cat([y[:j], y[j + 1 :]])) for j in range(len(y))]
    variance = sum((len(w) - 1) * np.var(w) for w in (without_x, without_y))
    found = kernel_distance(x, y)
    assert found.value == pytest.approx(value(x, y), rel=1e-12)
    assert found.standard_error == pytest.approx(variance**0.5, rel=1e-10)


def expected_kernel(a: float, b: float) -> float:
    """E k(x, y) of independent normals around a and b in each of two dimensions, by Gauss and Hermite's rule: exact."""
    points, masses = np.polynomial.hermite_e.hermegauss(8)
    grid = np.array(np.meshgrid(points, points)).reshape(2, -1).T
    mass = np.outer(masses, masses).ravel() / masses.sum() ** 2
    return float(mass @ polynomial_kernel(grid + a, grid + b, degree=3) @ mass)


@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_kernel_distance_has_no_bias_and_its_error_is_no_understatement(shift: float) -> None:
    found = [kernel_distance(normal(60, 2, s), shift + normal(50, 2, 10_000 + s)) for s in range(400)]
    values = np.array([each.value for each in found])
    truth = expected_kernel(0, 0) + expected_kernel(shift, shift) - 2 * expected_kernel(0, shift)
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / 20)
    ratio = np.mean([each.standard_error**2 for each in found]) / values.var()
    assert 0.8 < ratio < (3.0 if shift == 0 else 1.5)  # the jackknife errs upwards (Efron and Stein 1981)
    if shift == 0:
        assert values.min() < 0


def brute(real: np.ndarray, made: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage by loops over their definitions."""

    def radius(points: np.ndarray, i: int) -> float:
        return float(np.sort([np.linalg.norm(points[i] - p) for j, p in enumerate(points) if j != i])[k - 1])

    r_real = [radius(real, i) for i in range(len(real))]
    r_made = [radius(made, j) for j in range(len(made))]
    near = [[np.linalg.norm(x - y) <= r for y in made] for x, r in zip(real, r_real, strict=True)]
    precision = np.mean([any(near[i][j] for i in range(len(real))) for j in range(len(made))])
    recall = np.mean([any(np.linalg.norm(x - y) <= r for y, r in zip(made, r_made, strict=True)) for x in real])
    density = sum(map(sum, near)) / (k * len(made))
    coverage = np.mean([any(row) for row in near])
    return float(precision), float(recall), float(density), float(coverage)


@pytest.mark.parametrize(("n", "m", "k", "scale"), [(30, 20, 3, 1.0), (15, 40, 5, 0.4), (25, 25, 1, 2.0)])
def test_overlap_is_that_of_the_definitions(n: int, m: int, k: int, scale: float) -> None:
    real, made = normal(n, 2), scale * normal(m, 2, 1) + 0.5
    found = overlap(Manifold(real, k), Manifold(made, k))
    assert tuple(found.as_json().values()) == pytest.approx(brute(real.numpy(), made.numpy(), k), abs=1e-12)


def test_equal_sets_overlap_in_full_even_where_points_are_repeated() -> None:
    x = normal(40, 3).round()  # a grid: many copies, some balls of radius 0
    found = overlap(Manifold(x, 3), Manifold(x.clone(), 3))
    assert (found.precision, found.recall, found.coverage) == (1.0, 1.0, 1.0)
    assert found.density >= 1


def test_sets_apart_do_not_overlap() -> None:
    found = overlap(Manifold(normal(40, 3), 3), Manifold(normal(30, 3, 1) + 100, 3))
    assert tuple(found.as_json().values()) == (0.0, 0.0, 0.0, 0.0)


def test_two_samples_of_one_distribution_have_the_expected_coverage_and_density() -> None:
    n, k = 100, 5
    found = [overlap(Manifold(normal(n, 2, s), k), Manifold(normal(n, 2, 1_000 + s), k)) for s in range(60)]
    # Naeem et al. (2020), their closed form of the expectation: whatever the distribution.
    expected = 1 - np.prod([(n - j) / (2 * n - j) for j in range(1, k + 1)])
    assert np.mean([each.coverage for each in found]) == pytest.approx(expected, abs=0.01)
    assert np.mean([each.density for each in found]) == pytest.approx(1, abs=0.05)


def test_radii_reach_to_the_k_th_other_point() -> None:
    x = normal(1_100, 2)  # more than one chunk
    distances = np.sort(cdist(x.numpy(), x.numpy()), 1)
    np.testing.assert_allclose(Manifold(x, 4).radii.numpy(), distances[:, 4], rtol=1e-12)


def test_too_few_rows_for_so_many_neighbours_are_refused() -> None:
    with pytest.raises(DataError, match="5 rows have no 5 neighbours"):
        Manifold(normal(5, 2), 5)
