"""Probabilistic PCA as a baseline: in the data's own units, and on integers through uniform noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, final

import torch
from torch import Tensor

from nelbo.data.spec import DataSpec, Kind
from nelbo.solvers.independent_marginals import CODES, Gaussian
from nelbo.solvers.ppca import PPCA, fit_ppca
from nelbo.solvers.rows import row_chunks
from nelbo.solvers.stored_parameters import not_the_baselines, positive, real

__all__ = ["INTERVALS", "ScaledPPCA"]

TRAIN_NOISE, TEST_NOISE = 0, 1  # seeds; two, so that rows are scored without noise for the training rows drawn first
RELATIVE_FLOOR = 1e-6  # of the mean variance: data that lie in q dimensions would have an infinite density

INTERVALS = frozenset({Kind.BYTE, Kind.LEVELS, Kind.COUNT})  # integers that uniform noise turns into a density


@final
@dataclass(frozen=True, eq=False)
class ScaledPPCA:
    """Probabilistic PCA of x / s, scored as a density of x: log p(x / s) - sum over d of log s_d.

    The columns of a table differ in units, and one noise variance for all of them would be no match: s is their
    standard deviation, and 1 for images. On bytes, levels and counts it is fitted to and scored at x + u with u
    uniform on [0, 1), seeded by the place of a value among those given: in expectation a lower bound on the log-mass.
    """

    ppca: PPCA
    scale: Tensor  # [D] float64, above 0
    variance_floor: float  # which the noise variance cannot be below
    spec: DataSpec
    latent: int  # of the model beside it; more than D - 1 are no better

    @staticmethod
    def suits(spec: DataSpec) -> bool:
        """Whether its density compares with a likelihood of the data.

        Not with a mass of codes, which no uniform noise makes a density, nor with a mixed table, where it would be a
        density of every column.
        """
        return spec.kind in INTERVALS or spec.kind not in CODES | {Kind.MIXED}

    @classmethod
    def fit(cls, train: Tensor, spec: DataSpec, latent: int) -> Self:
        """The maximum-likelihood pPCA of the scaled training rows, with as many latents as the model, at most D - 1."""
        if spec.kind in INTERVALS:
            train = train + torch.rand(train.shape, generator=torch.Generator().manual_seed(TRAIN_NOISE))
        variance = Gaussian.fit(train, spec).variance
        scale = torch.ones_like(variance)
        if spec.layout == "table":
            scale = variance.sqrt()
            train = train.flatten(1).double() / scale
        floor = RELATIVE_FLOOR * float((variance / scale.square()).mean())
        ppca = fit_ppca(train, _at_most(latent, spec), variance_floor=floor)
        return cls(ppca, scale, floor, spec, latent)

    def log_prob(self, x: Tensor) -> Tensor:
        """log p of every row, [N]."""
        generator = torch.Generator().manual_seed(TEST_NOISE)
        log_densities = []
        for rows in row_chunks(x):
            inside = rows
            if self.spec.kind in INTERVALS:
                inside = rows + torch.rand(rows.shape, generator=generator, dtype=torch.float64)
            log_densities.append(self.ppca.log_likelihood(inside / self.scale))
        return torch.cat(log_densities) - self.scale.log().sum()

    def tensors(self) -> dict[str, Tensor]:
        """The parameters by name, float64."""
        return {
            "mean": self.ppca.mean,
            "weight": self.ppca.weight,
            "noise_variance": torch.tensor(self.ppca.noise_variance, dtype=torch.float64),
            "scale": self.scale,
            "variance_floor": torch.tensor(self.variance_floor, dtype=torch.float64),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], spec: DataSpec, latent: int) -> Self:
        """What `tensors` gave; a StorageError if these cannot have come from there with such a spec."""
        ppca = PPCA(
            real(tensors, "mean", (spec.dim,)),
            real(tensors, "weight", (spec.dim, _at_most(latent, spec))),
            float(positive(tensors, "noise_variance", ())),
        )
        _check_precision(ppca)
        floor = float(positive(tensors, "variance_floor", ()))
        return cls(ppca, positive(tensors, "scale", (spec.dim,)), floor, spec, latent)

    @property
    def name(self) -> str:
        """With its number of latents."""
        return f"pPCA, q = {_at_most(self.latent, self.spec)}"

    @property
    def reference_measure(self) -> str:
        """What its density is a density of; on integers through the noise, a bound on their mass."""
        spec = self.spec
        if spec.kind in INTERVALS:
            spec = spec.model_copy(update={"transform": "dequantize"})
        return spec.reference_measure(density=True)

    @property
    def note(self) -> str:
        """How it was fitted, for the reader of a figure."""
        q = _at_most(self.latent, self.spec)
        note = "closed-form maximum likelihood on the training rows"
        if q < self.latent:
            note += f"; {q} latents are already a Gaussian of full covariance"
        if self.spec.kind in INTERVALS:
            note += (
                "; scored at x + u with one uniform u per value (seeded): in expectation a lower bound on the log-mass"
            )
        if self.spec.layout == "table":
            note += "; fitted to standardised columns, scored in the data's own units"
        if self.ppca.noise_variance == self.variance_floor:
            note += f"; noise variance at its floor of {RELATIVE_FLOOR:g} of the mean variance"
        return note


def _check_precision(ppca: PPCA) -> None:
    """Refuse numbers, each of them finite, of which W'W + sigma^2 I is not positive definite in float64."""
    q = ppca.weight.shape[1]
    precision = ppca.weight.T @ ppca.weight + ppca.noise_variance * torch.eye(q, dtype=torch.float64)
    if not bool(torch.isfinite(precision).all()) or int(torch.linalg.cholesky_ex(precision).info) != 0:
        raise not_the_baselines("its weight and noise variance are of no Gaussian")


def _at_most(latent: int, spec: DataSpec) -> int:
    return min(latent, spec.dim - 1)
