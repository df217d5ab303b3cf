"""What simple methods reach on the same rows: a likelihood means little without them.

Every baseline is fitted on the training rows and scored on the test rows, in nats per datum; what was fitted can be
stored with a model, and scores other rows when the training rows are gone. One that cannot be compared with the model's
figure (a density where the model has a mass) is left out, not shown with a caveat.
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self, final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nelbo.core import Batch
from nelbo.data.spec import DataSpec, Kind
from nelbo.data.splits import evenly
from nelbo.errors import DataError
from nelbo.solvers.independent_marginals import Marginals, cells, is_dequantised, marginals_of
from nelbo.solvers.rows import row_chunks
from nelbo.solvers.scaled_ppca import INTERVALS, ScaledPPCA
from nelbo.solvers.stored_parameters import not_the_baselines, within

__all__ = ["Baseline", "FittedBaselines", "baselines", "fit_baselines", "marginals", "values_seen"]

PNG_ROWS = 2_000

_CHANGES_UNITS = frozenset({"log", "log1p", "logit"})


@final
@dataclass(frozen=True, eq=False)
class Baseline:
    """One method's figure on the test rows."""

    name: str
    log_likelihood: float | None  # nats per datum, mean over the rows
    standard_error: float | None  # of that mean, over the rows; None for a code over all of them, or one row
    bits_per_dim: float  # -log_likelihood / (D log 2); differential where the measure is a density
    reference_measure: str
    note: str
    per_row: Tensor | None  # [N] float64, where every test row has a figure of its own


@final
@dataclass(frozen=True, eq=False)
class FittedBaselines:
    """What the baselines keep of the training rows, so that other rows can be scored when those are gone.

    Attributes
    ----------
    spec
        What the values are that the likelihood sees, after the transform.
    independent
        Independent marginals; None for a model that is given the label, whose p(x given label) compares with no p(x).
    ppca
        Probabilistic PCA; None where it does not suit the data.
    """

    spec: DataSpec
    independent: Marginals | None
    ppca: ScaledPPCA | None

    def score(self, test: Tensor, *, log_jacobian: Tensor | None = None) -> list[Baseline]:
        """The baselines that compare with a model's likelihood of these rows, as `baselines` describes them.

        Raises
        ------
        DataError
            If there are no rows, they are of another size, or a value is not one of the levels the spec declares.
        """
        simplest = self.score_marginals(test, log_jacobian=log_jacobian)
        if simplest is None:
            return []
        found = [simplest]
        if self.ppca is not None:
            log_density = self.ppca.log_prob(test) + _row_sums(log_jacobian, test)
            measure = self.ppca.reference_measure
            found.append(_scored(self.ppca.name, log_density, self.spec, measure, self.ppca.note))
        if self.spec.layout == "image" and self.spec.kind is not Kind.MIXED:
            found += _compressors(test, self.spec)
        return found

    def score_marginals(self, test: Tensor, *, log_jacobian: Tensor | None = None) -> Baseline | None:
        """Independent marginals alone, as in `score`; None where they compare with no likelihood of the model."""
        _check_rows(test, self.spec)
        if self.independent is None or not _is_comparable(self.spec, log_jacobian):
            return None
        log_prob = self.independent.log_prob(test)
        if self.independent.is_density:
            log_prob += _row_sums(log_jacobian, test)
        is_density = self.independent.is_density or is_dequantised(self.spec)
        measure = self.spec.reference_measure(density=is_density)
        return _scored("independent marginals", log_prob, self.spec, measure, self.independent.note)

    def tensors(self) -> dict[str, Tensor]:
        """All that was fitted, by names as `marginals.counts` and `ppca.weight`, float64 or int64 on the CPU."""
        parts = {"marginals": self.independent, "ppca": self.ppca}
        fitted = {part: {} if model is None else model.tensors() for part, model in parts.items()}
        return {f"{part}.{name}": tensor for part, own in fitted.items() for name, tensor in own.items()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], spec: DataSpec, latent: int) -> Self:
        """What `tensors` gave, for the same spec and number of latents.

        Raises
        ------
        StorageError
            If a name is missing or unknown, or a tensor is not of the type, shape or range that was stored.
        """
        independent, ppca = None, None
        if spec.condition == "none":
            independent = marginals_of(spec).from_tensors(within(tensors, "marginals"), spec)
        if independent is not None and ScaledPPCA.suits(spec):
            ppca = ScaledPPCA.from_tensors(within(tensors, "ppca"), spec, latent)
        found = cls(spec, independent, ppca)
        unknown = sorted(tensors.keys() - found.tensors().keys())
        if unknown:
            raise not_the_baselines(f"{unknown[0]!r} is none of theirs")
        return found


def fit_baselines(train: Tensor, spec: DataSpec, latent: int) -> FittedBaselines:
    """Fit what needs the training rows: independent marginals, and pPCA where it suits the data.

    Parameters
    ----------
    train
        The training rows as the likelihood sees them, `[N, *event]`, of any number type.
    spec
        What these values are, after the transform.
    latent
        The model's number of latents.

    Raises
    ------
    DataError
        If there are no rows, they are of another size, or a value is not one of the levels the spec declares.
    """
    independent = _fit_marginals(train, spec)
    suits = independent is not None and ScaledPPCA.suits(spec)
    return FittedBaselines(spec, independent, ScaledPPCA.fit(train, spec, latent) if suits else None)


def baselines(
    train: Tensor, test: Tensor, spec: DataSpec, latent: int, *, log_jacobian: Tensor | None = None
) -> list[Baseline]:
    """The baselines that suit the data, comparable with a model's likelihood of the same rows.

    - *Independent marginals*: a histogram per dimension with one added to each count (binary, bytes, levels,
      codes, also after dequantisation, since a uniform density on a cell is its mass), a negative binomial
      matched to mean and variance (counts), else a Gaussian. Of a mixed table each column gets what its own kind
      gets, positive ones a log-normal.
    - *pPCA* with as many latents as the model, on tables fitted to standardised columns. On bytes, levels and
      counts it scores x + u, with u uniform on [0, 1): in expectation a lower bound on the log-mass. Left out for
      binary data and codes, and for mixed tables: a density of every column compares with no mass of some.
    - *PNG* and *gzip*: the size of the compressed file, for images of bytes (gzip also for levels and bits).

    Nothing is returned for a model that is given the label: p(x given label) compares with no p(x).

    Parameters
    ----------
    train, test
        What the likelihood sees, `[N, *event]`, of any number type.
    spec
        What these values are, after the transform.
    latent
        The model's number of latents.
    log_jacobian
        Of the test rows' transform, broadcastable to `[N, *event]`; densities are then in the user's units. After
        log, log1p or logit nothing is returned without it: a density of the logarithm compares with no other.

    Raises
    ------
    DataError
        If there are no training or no test rows, they are of another size, or a value is not one of the levels the
        spec declares.
    """
    _check_rows(train, spec)
    _check_rows(test, spec)
    if not _is_comparable(spec, log_jacobian):
        return []
    return fit_baselines(train, spec, latent).score(test, log_jacobian=log_jacobian)


def marginals(train: Tensor, test: Tensor, spec: DataSpec, *, log_jacobian: Tensor | None = None) -> Baseline | None:
    """Independent marginals alone, as in `baselines`; None where they compare with no likelihood of the model."""
    if not _is_comparable(spec, log_jacobian):
        return None
    return FittedBaselines(spec, _fit_marginals(train, spec), None).score_marginals(test, log_jacobian=log_jacobian)


def values_seen(batches: Iterable[Batch]) -> tuple[Tensor, Tensor | None]:
    """What the likelihood sees of all rows, and the log-Jacobian of the transform that made it so."""
    pairs = [(batch.x, batch.log_jacobian) for batch in batches]
    jacobians = [jacobian for _, jacobian in pairs if jacobian is not None]
    return torch.cat([x for x, _ in pairs]), torch.cat(jacobians) if jacobians else None


# ---- compressed files


def _compressors(test: Tensor, spec: DataSpec) -> list[Baseline]:
    if spec.kind is Kind.BINARY:
        bits = np.packbits(test.to(torch.uint8).numpy())
        return [_gzip(bits, len(test), spec, "8 pixels packed in a byte")]
    levels = spec.levels if spec.kind in INTERVALS or is_dequantised(spec) else None
    if levels is None or levels > 256:
        return []
    pixels = cells(test, spec).to(torch.uint8)
    found = [_gzip(pixels.numpy(), len(test), spec, "one byte per value")]
    if levels == 256 and len(spec.event_shape) == 3 and spec.event_shape[0] in (1, 3):
        found.insert(0, _png(pixels, spec))
    return found


def _png(pixels: Tensor, spec: DataSpec) -> Baseline:
    images = evenly(pixels, PNG_ROWS).movedim(1, -1).numpy()  # [n, H, W, C]
    sizes = torch.tensor([_png_bytes(image) for image in images], dtype=torch.float64)
    note = "one optimised file per image, its header counted"
    if len(images) < len(pixels):
        note += f"; on {len(images):,} of the {len(pixels):,} test rows, evenly spaced"
    scored = _scored("PNG", -8.0 * math.log(2.0) * sizes, spec, _mass_measure(spec), note)
    return scored if len(images) == len(pixels) else _without_rows(scored)


def _png_bytes(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> int:
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG", optimize=True)
    return buffer.tell()


def _gzip(values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], n: int, spec: DataSpec, how: str) -> Baseline:
    bits = 8.0 * len(gzip.compress(np.ascontiguousarray(values).tobytes(), compresslevel=9, mtime=0)) / n
    note = f"level 9 over all test rows in one file, {how}"
    return Baseline("gzip", -bits * math.log(2.0), None, bits / spec.dim, _mass_measure(spec), note, None)


def _mass_measure(spec: DataSpec) -> str:
    """What a lossless code of the values themselves bounds, also where the model sees them dequantised."""
    if not is_dequantised(spec):
        return spec.reference_measure(density=False)
    kind = Kind.BYTE if spec.levels == 256 else Kind.LEVELS
    return spec.model_copy(update={"kind": kind, "transform": "none"}).reference_measure(density=False)


# ---- common to all


def _fit_marginals(train: Tensor, spec: DataSpec) -> Marginals | None:
    _check_rows(train, spec)
    return marginals_of(spec).fit(train, spec) if spec.condition == "none" else None


def _check_rows(x: Tensor, spec: DataSpec) -> None:
    if len(x) == 0:
        raise DataError("baselines need training rows and test rows, but one of the two is empty; change the split")
    if x.shape[1:].numel() != spec.dim:  # a single value would otherwise be taken for all of them
        raise DataError(
            f"baselines of {spec.name!r} need {spec.dim} values in a row, but these rows have shape "
            f"{list(x.shape[1:])}; give rows as the model sees them"
        )


def _is_comparable(spec: DataSpec, log_jacobian: Tensor | None) -> bool:
    """Whether a likelihood of x alone in the user's units can be had, and is what the model has."""
    in_own_units = log_jacobian is not None or spec.transform.split(":")[0] not in _CHANGES_UNITS
    return spec.condition == "none" and in_own_units


def _row_sums(log_jacobian: Tensor | None, test: Tensor) -> Tensor:
    if log_jacobian is None:
        return torch.zeros(len(test), dtype=torch.float64)
    return torch.cat([rows.sum(1) for rows in row_chunks(log_jacobian.expand(test.shape))])


def _scored(name: str, per_row: Tensor, spec: DataSpec, measure: str, note: str) -> Baseline:
    mean = float(per_row.mean())
    error = float(per_row.std()) / math.sqrt(len(per_row)) if len(per_row) > 1 else None
    return Baseline(name, mean, error, -mean / (spec.dim * math.log(2.0)), measure, note, per_row)


def _without_rows(figure: Baseline) -> Baseline:
    return Baseline(**{**vars(figure), "per_row": None})
