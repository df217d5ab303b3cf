"""What simple methods reach on the same rows: a likelihood means little without them.

Every baseline is fitted on the training rows and scored on the test rows, in nats per datum. One that cannot
be compared with the model's figure (a density where the model has a mass) is left out, not shown with a caveat.
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nelbo.core import Batch
from nelbo.data.spec import DataSpec, Kind
from nelbo.data.splits import evenly
from nelbo.errors import DataError
from nelbo.solvers.ppca import fit_ppca
from nelbo.solvers.rows import row_chunks, row_mean

__all__ = ["Baseline", "baselines", "marginals", "values_seen"]

PNG_ROWS = 2_000
NOISE_SEED = 0
RELATIVE_FLOOR = 1e-6  # of the mean variance: data that lie in q dimensions would have an infinite density

_CODES = frozenset({Kind.BINARY, Kind.BYTE, Kind.LEVELS, Kind.CATEGORICAL, Kind.ORDINAL})
_INTERVALS = frozenset({Kind.BYTE, Kind.LEVELS, Kind.COUNT})  # integers that uniform noise turns into a density
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
        If there are no training or no test rows, or a value is not one of the levels the spec declares.
    """
    if len(train) == 0 or len(test) == 0:
        raise DataError("baselines need training rows and test rows, but one of the two is empty; change the split")
    simplest = marginals(train, test, spec, log_jacobian=log_jacobian)
    if simplest is None:
        return []
    found = [simplest]
    if spec.kind is Kind.MIXED:
        return found
    if spec.kind not in _CODES or spec.kind in _INTERVALS:
        found.append(_ppca(train, test, spec, latent, log_jacobian))
    if spec.layout == "image":
        found += _compressors(test, spec)
    return found


def marginals(train: Tensor, test: Tensor, spec: DataSpec, *, log_jacobian: Tensor | None = None) -> Baseline | None:
    """Independent marginals alone, as in `baselines`; None where they compare with no likelihood of the model."""
    if spec.condition != "none":
        return None
    if log_jacobian is None and spec.transform.split(":")[0] in _CHANGES_UNITS:
        return None
    if spec.kind is Kind.MIXED:
        return _marginals_by_column(train, test, spec)
    return _marginals(train, test, spec, log_jacobian)


def values_seen(batches: Iterable[Batch]) -> tuple[Tensor, Tensor | None]:
    """What the likelihood sees of all rows, and the log-Jacobian of the transform that made it so."""
    pairs = [(batch.x, batch.log_jacobian) for batch in batches]
    jacobians = [jacobian for _, jacobian in pairs if jacobian is not None]
    return torch.cat([x for x, _ in pairs]), torch.cat(jacobians) if jacobians else None


# ---- independent marginals


def _marginals(train: Tensor, test: Tensor, spec: DataSpec, log_jacobian: Tensor | None) -> Baseline:
    dequantised = _is_dequantised(spec)
    if spec.kind in _CODES or (dequantised and spec.levels is not None):
        log_mass = _histogram(_cells(train, spec), _cells(test, spec), spec)
        note = "per dimension the training frequencies, one added to each count"
    elif spec.kind is Kind.COUNT or dequantised:
        log_mass = _negative_binomial(_cells(train, spec), _cells(test, spec))
        note = "per dimension a negative binomial of the training mean and variance (Poisson where not overdispersed)"
    else:
        variance, constant = _variances(train)
        log_density = _gaussian(row_mean(train), variance, test) + _row_sums(log_jacobian, test)
        note = "per dimension a Gaussian of the training mean and variance"
        if constant:
            note += f"; {constant} constant in training, given the mean variance of the others over N + 1"
        return _scored("independent marginals", log_density, spec, spec.reference_measure(density=True), note)
    return _scored("independent marginals", log_mass, spec, spec.reference_measure(density=dequantised), note)


def _marginals_by_column(train: Tensor, test: Tensor, spec: DataSpec) -> Baseline:
    """Every column by its kind; the sum is under the mixed measure, as the model's own figure is."""
    columns = spec.columns or ()
    total = torch.zeros(len(test), dtype=torch.float64)
    for kind in sorted({column.kind for column in columns}):
        places = [place for place, column in enumerate(columns) if column.kind is kind]
        own = spec.model_copy(
            update={"kind": kind, "columns": tuple(columns[place] for place in places), "event_shape": (len(places),)}
        )
        fitted_on, scored = train[:, places], test[:, places]
        jacobian = None
        if kind is Kind.POSITIVE:
            fitted_on, scored = fitted_on.double().log(), scored.double().log()
            jacobian = -scored
        log_prob = _marginals(fitted_on, scored, own, jacobian).per_row
        assert log_prob is not None
        total += log_prob
    note = (
        "per column, by its kind: the training frequencies, one added to each count; a negative binomial, a Gaussian "
        "or (positive columns) a log-normal of the training moments"
    )
    return _scored("independent marginals", total, spec, spec.reference_measure(density=True), note)


def _histogram(train: Tensor, test: Tensor, spec: DataSpec) -> Tensor:
    """log of (count + 1) / (N + L) of each cell's level, summed over the dimensions, [N]."""
    levels = _level_counts(train, test, spec)
    width = int(levels.max())
    offsets = torch.arange(len(levels)) * width
    counts = torch.zeros(len(levels) * width, dtype=torch.int64)
    for rows in row_chunks(train):
        counts += torch.bincount((rows.long() + offsets).flatten(), minlength=len(counts))
    log_mass = torch.log((counts.view(len(levels), width) + 1.0).double() / (len(train) + levels.double())[:, None])
    return torch.cat([log_mass.view(-1)[rows.long() + offsets].sum(1) for rows in row_chunks(test)])


def _level_counts(train: Tensor, test: Tensor, spec: DataSpec) -> Tensor:
    """The number of levels of each dimension, [D]; every value is checked to be one of them."""
    low = torch.minimum(train.amin(0), test.amin(0)).flatten().double()
    high = torch.maximum(train.amax(0), test.amax(0)).flatten().double()
    levels = _declared_levels(high, spec)
    if bool((low < 0).any()) or bool((high >= levels).any()):
        raise DataError(
            f"{spec.name!r} holds values from {low.min():g} to {high.max():g}, outside the levels "
            f"0..{int(levels.max()) - 1} of its spec; load it again, or name its kind with --kind"
        )
    return levels


def _declared_levels(high: Tensor, spec: DataSpec) -> Tensor:
    if spec.kind is Kind.BINARY:
        return torch.full_like(high, 2).long()
    if spec.levels is not None:
        return torch.full_like(high, spec.levels).long()
    if spec.columns is not None:
        return torch.tensor([int(column.high) + 1 for column in spec.columns])
    return high.long() + 1


def _negative_binomial(train: Tensor, test: Tensor) -> Tensor:
    """log-mass of counts with mean m and variance m + m^2 / r, r by moments; Poisson(m) as r grows, [N]."""
    mean = row_mean(train).clamp_min(0.5 / len(train))  # a count never seen in training is rare, not impossible
    excess = _raw_variances(train, mean) - mean
    overdispersed = excess > 1e-6 * mean
    r = torch.where(overdispersed, mean.square() / excess.where(overdispersed, mean), 1.0)
    odds_negative = torch.log(r / (r + mean))
    odds_positive = torch.log(mean / (r + mean))
    sums = []
    for x in row_chunks(test):
        poisson = x * mean.log() - mean
        spread = torch.lgamma(x + r) - torch.lgamma(r) + r * odds_negative + x * odds_positive
        sums.append((torch.where(overdispersed, spread, poisson) - torch.lgamma(x + 1.0)).sum(1))
    return torch.cat(sums)


def _gaussian(mean: Tensor, variance: Tensor, test: Tensor) -> Tensor:
    constant = -0.5 * float((2.0 * math.pi * variance).log().sum())
    return torch.cat([constant - 0.5 * ((rows - mean).square() / variance).sum(1) for rows in row_chunks(test)])


def _variances(train: Tensor) -> tuple[Tensor, int]:
    """The variances [D], and the number of constant dimensions.

    A constant dimension would have an infinite density: it gets what a single observation at the mean variance
    of the others would leave it, by the same reasoning as the one added to a histogram's counts.
    """
    mean = row_mean(train)
    variance = _raw_variances(train, mean)
    constant = variance <= 1e-12 * (variance + mean.square())  # rounding, in float64
    typical = variance[~constant].mean() if bool((~constant).any()) else torch.ones((), dtype=torch.float64)
    return variance.where(~constant, typical / (len(train) + 1)), int(constant.sum())


def _raw_variances(x: Tensor, mean: Tensor) -> Tensor:
    return torch.stack([(rows - mean).square().sum(0) for rows in row_chunks(x)]).sum(0) / len(x)


# ---- probabilistic PCA


def _ppca(train: Tensor, test: Tensor, spec: DataSpec, latent: int, log_jacobian: Tensor | None) -> Baseline:
    q = min(latent, spec.dim - 1)
    jacobian = _row_sums(log_jacobian, test)
    note = "closed-form maximum likelihood on the training rows"
    if q < latent:
        note += f"; {q} latents are already a Gaussian of full covariance"
    if spec.kind in _INTERVALS:
        generator = torch.Generator().manual_seed(NOISE_SEED)
        train, test = _with_noise(train, generator), _with_noise(test, generator)
        note += "; scored at x + u with one uniform u per value (seeded): in expectation a lower bound on the log-mass"
        spec = spec.model_copy(update={"transform": "dequantize"})
    variance, _ = _variances(train)
    scale = torch.ones_like(variance)
    if spec.layout == "table":  # columns differ in units, and one noise variance for all of them would be no match
        scale = variance.sqrt()
        train, test = train.flatten(1).double() / scale, test.flatten(1).double() / scale
        note += "; fitted to standardised columns, scored in the data's own units"
    floor = RELATIVE_FLOOR * float((variance / scale.square()).mean())
    ppca = fit_ppca(train, q, variance_floor=floor)
    if ppca.noise_variance == floor:
        note += f"; noise variance at its floor of {RELATIVE_FLOOR:g} of the mean variance"
    log_density = ppca.log_likelihood(test) - scale.log().sum() + jacobian
    return _scored(f"pPCA, q = {q}", log_density, spec, spec.reference_measure(density=True), note)


def _with_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    return x + torch.rand(x.shape, generator=generator)


# ---- compressed files


def _compressors(test: Tensor, spec: DataSpec) -> list[Baseline]:
    if spec.kind is Kind.BINARY:
        bits = np.packbits(test.to(torch.uint8).numpy())
        return [_gzip(bits, len(test), spec, "8 pixels packed in a byte")]
    levels = spec.levels if spec.kind in _INTERVALS or _is_dequantised(spec) else None
    if levels is None or levels > 256:
        return []
    pixels = _cells(test, spec).to(torch.uint8)
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
    if not _is_dequantised(spec):
        return spec.reference_measure(density=False)
    kind = Kind.BYTE if spec.levels == 256 else Kind.LEVELS
    return spec.model_copy(update={"kind": kind, "transform": "none"}).reference_measure(density=False)


# ---- common to all


def _is_dequantised(spec: DataSpec) -> bool:
    return spec.transform.split(":")[0] == "dequantize"


def _cells(x: Tensor, spec: DataSpec) -> Tensor:
    """The integers behind dequantised values, and other values as they are."""
    return x.floor() if _is_dequantised(spec) and x.is_floating_point() else x


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
