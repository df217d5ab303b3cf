"""How far two samples of feature vectors are apart: in moments, by a kernel, and by who lies among whom."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import final

import torch
from torch import Tensor

from nelbo.errors import DataError

__all__ = ["KernelDistance", "Manifold", "Overlap", "frechet_distance", "kernel_distance", "overlap"]

CHUNK = 500  # rows whose distances to all others are held together


def frechet_distance(x: Tensor, y: Tensor) -> float:
    r"""|m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)) of means and covariances of x [N, F] and y [M, F].

    The squared 2-Wasserstein distance of the Gaussians with these moments; in the squared units of the features. It
    sees nothing but means and covariances, and few rows make it too large (the covariances are estimates). The trace of
    the root is the sum of the singular values of A' B with S_x = A A' and S_y = B B', so that no root of a matrix that
    is not symmetric is taken.

    References
    ----------
    Dowson and Landau (1982), The Fréchet distance between multivariate normal distributions; Heusel et al. (2017),
    GANs trained by a two time-scale update rule, arXiv:1706.08500 (of samples, in the features of a network).
    """
    x, y = x.double(), y.double()
    a, b = _root(x), _root(y)
    cross = torch.linalg.svdvals(a.T @ b).sum()
    gap = (x.mean(0) - y.mean(0)).square().sum()
    return max(0.0, float(gap + a.square().sum() + b.square().sum() - 2 * cross))


def _root(x: Tensor) -> Tensor:
    """A with A A' the unbiased covariance: [F, F], or [F, N] where there are fewer rows."""
    centred = (x - x.mean(0)).T / math.sqrt(len(x) - 1)
    if centred.shape[1] <= centred.shape[0]:
        return centred
    values, axes = torch.linalg.eigh(centred @ centred.T)
    root: Tensor = axes * values.clamp_min(0.0).sqrt()
    return root


@final
@dataclass(frozen=True)
class KernelDistance:
    """An unbiased estimate of a squared distance, which can be below zero, and its standard error by the jackknife."""

    value: float
    standard_error: float


def kernel_distance(x: Tensor, y: Tensor) -> KernelDistance:
    r"""Squared maximum mean discrepancy of x [N, F] and y [M, F] with the kernel k(a, b) = (a'b / F + 1)^3, unbiased.

        1/(N(N-1)) sum_{i != j} k(x_i, x_j) + 1/(M(M-1)) sum_{i != j} k(y_i, y_j) - 2/(NM) sum_{i,j} k(x_i, y_j)

    It compares moments up to the third. Unlike the Fréchet distance it has no bias of few rows.

    References
    ----------
    Bińkowski et al. (2018), Demystifying MMD GANs, arXiv:1801.01401 (of samples, in the features of a
    network); Gretton et al. (2012), A kernel two-sample test, Journal of Machine Learning Research 13, 723 (the
    estimate).
    """
    x, y = x.double(), y.double()
    n, m = len(x), len(y)
    in_x, in_y = _sums(x, x) - _own(x), _sums(y, y) - _own(y)  # over the others of the same sample
    to_y, to_x = _sums(x, y), _sums(y, x)
    total = to_y.sum()
    within_x, within_y = in_x.sum() / (n * (n - 1)), in_y.sum() / (m * (m - 1))
    value = within_x + within_y - 2 * total / (n * m)
    without_x = (in_x.sum() - 2 * in_x) / ((n - 1) * (n - 2)) + within_y - 2 * (total - to_y) / ((n - 1) * m)
    without_y = within_x + (in_y.sum() - 2 * in_y) / ((m - 1) * (m - 2)) - 2 * (total - to_x) / (n * (m - 1))
    variance = (n - 1) * without_x.var(correction=0) + (m - 1) * without_y.var(correction=0)
    return KernelDistance(float(value), math.sqrt(float(variance)))


def _kernel(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b.T / a.shape[1] + 1).pow(3)


def _sums(a: Tensor, b: Tensor) -> Tensor:
    """sum_j k(a_i, b_j), [N]"""
    return torch.cat([_kernel(some, b).sum(1) for some in torch.split(a, CHUNK)])


def _own(a: Tensor) -> Tensor:
    """k(a_i, a_i), [N]"""
    return (a.square().sum(1) / a.shape[1] + 1).pow(3)


@final
class Manifold:
    """Where a sample [N, F] lies: the union of balls around its points, each reaching to its k-th neighbour.

    Raises
    ------
    DataError
        If there are no k others.

    References
    ----------
    Kynkäänniemi et al. (2019), Improved precision and recall metric for assessing generative models, arXiv:1904.06991,
    section 2.
    """

    def __init__(self, points: Tensor, neighbours: int) -> None:
        if len(points) <= neighbours:
            raise DataError(
                f"{len(points)} rows have no {neighbours} neighbours; choose a --split with more rows, or give fewer "
                "neighbours=..."
            )
        self.points = points.double()
        self.neighbours = neighbours
        # The nearest of all is the point itself; a copy of it is a neighbour at distance 0.
        self.radii = torch.cat(
            [
                _distances(some, self.points).kthvalue(neighbours + 1, 1).values
                for some in torch.split(self.points, CHUNK)
            ]
        )  # [N]


@final
@dataclass(frozen=True)
class Overlap:
    """How a generated sample lies in a real one."""

    precision: float  # share of generated points in some ball of the real ones
    recall: float  # share of real points in some ball of the generated ones
    density: float  # balls of real points that hold a generated one, over k: 1 on average where both are alike
    coverage: float  # share of balls of real points that hold a generated one

    def as_json(self) -> dict[str, float]:
        return asdict(self)


def overlap(real: Manifold, generated: Manifold) -> Overlap:
    r"""Precision and recall, density and coverage of generated points y_1 .. y_M among real ones x_1 .. x_N.

    With balls B(x_i) that reach to the k-th neighbour of x_i among the x, edge included, and B(y_j) likewise:

        precision 1/M sum_j [y_j in some B(x_i)]       density 1/(k M) sum_j sum_i [y_j in B(x_i)]
        recall    1/N sum_i [x_i in some B(y_j)]       coverage 1/N sum_i [some y_j in B(x_i)]

    One real point far off has a large ball, which makes everything in it precise; density counts balls instead.
    Coverage uses the balls of real points only. Both samples equal and of one distribution, its mean is
    1 - (N - 1) .. (N - k) / ((2 N - 1) .. (2 N - k)).

    References
    ----------
    Kynkäänniemi et al. (2019), arXiv:1904.06991, section 2; Naeem et al. (2020), Reliable fidelity and diversity
    metrics for generative models, arXiv:2002.09797, section 3.
    """
    m = len(generated.points)
    precise, inside, recalled, covered = torch.zeros(m, dtype=torch.bool), 0, 0, 0
    for some, radii in zip(torch.split(real.points, CHUNK), torch.split(real.radii, CHUNK), strict=True):
        distances = _distances(some, generated.points)  # [n, M]
        held = distances <= radii.unsqueeze(1)
        precise |= held.any(0)
        inside += int(held.sum())
        covered += int(held.any(1).sum())
        recalled += int((distances <= generated.radii).any(1).sum())
    n = len(real.points)
    return Overlap(float(precise.double().mean()), recalled / n, inside / (real.neighbours * m), covered / n)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean [N, M], from differences: by products equal points would lie apart."""
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")
