"""Sample quality: how the rows that a model makes lie among real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from nelbo.data import Batches, DataSpec, Kind
from nelbo.errors import ConfigError, DataError
from nelbo.evaluate.annealing import draw_joint
from nelbo.evaluate.features import Components, Features, OwnFeatures
from nelbo.evaluate.measure import Cell, Chart, Finding, Measure, Subject, evenly
from nelbo.evaluate.two_samples import (
    KernelDistance,
    Manifold,
    Overlap,
    frechet_distance,
    kernel_distance,
    overlap,
)
from nelbo.registry import register
from nelbo.runs.fitted import Fitted
from nelbo.solvers.ppca import fit_ppca

FITTED_ROWS, FITTED_CELLS = 5_000, 20_000_000  # of the training rows that components and pPCA are fitted to, at most
FEWEST = 50
CROWDED = 1.5  # times the density of rows among their own kind
SMALL, LARGE = 0.1, 1e6
DRAWN = 300  # points of each kind in the picture
PPCA_MOST = 2_000  # columns or rows, whichever are fewer: beyond, its eigenvectors take long
RELATIVE_FLOOR = 1e-6  # of the mean variance
WITHOUT_MEAN = frozenset({Kind.CATEGORICAL, Kind.ORDINAL, Kind.MIXED})  # the mean of codes is no code
WHOLE = frozenset({Kind.BYTE, Kind.LEVELS, Kind.COUNT, Kind.ORDINAL})
COMPONENTS = "components"
DRAWS, MEANS, TRAIN = "draws of the model", "means of the model", "training rows"


@final
@dataclass(frozen=True)
class Comparison:
    """One set of rows against the reference."""

    n: int
    frechet: float
    kernel: KernelDistance
    overlap: Overlap

    def as_json(self) -> dict[str, Any]:
        kernel = {"kernel": self.kernel.value, "kernel_standard_error": self.kernel.standard_error}
        return {"n": self.n, "frechet": self.frechet, **kernel, **self.overlap.as_json()}


@register("measure/samples")
@final
class Samples(Measure):
    r"""Fréchet and kernel distance, precision, recall, density and coverage of samples, against the rows measured.

    Beside the model's draws x ~ p(x given z), z ~ p(z), stand the means of p(x given z) at the same z, training rows
    (as near as one can hope to come), and draws of probabilistic PCA with as many latents.

    Nothing is downloaded. The features are those of the user's own function, `features=FILE` with
    `def features(x: Tensor) -> Tensor` in it, [N, *event] in the units of the data to [N, F]; the file is imported
    because it is named here, and by nothing else. By default they are the data themselves in their first principal
    components. Either way the figures compare with each other and not with those of papers, which are in features of
    an Inception network.

    Parameters
    ----------
    features
        ``components``, or a Python file of the user's own. What a network in it reads (TorchScript, safetensors) is its
        own affair.
    neighbours
        k of precision, recall, density and coverage.
    rows
        At most, evenly spaced; all sets have as many, since the Fréchet distance grows as rows become fewer.

    References
    ----------
    Heusel et al. (2017), GANs trained by a two time-scale update rule, arXiv:1706.08500 (Fréchet distance); Bińkowski
    et al. (2018), Demystifying MMD GANs, arXiv:1801.01401 (kernel distance); Kynkäänniemi et al. (2019), Improved
    precision and recall metric for assessing generative models, arXiv:1904.06991; Naeem et al. (2020), Reliable
    fidelity and diversity metrics for generative models, arXiv:2002.09797 (density, coverage).
    """

    def __init__(self, features: str = COMPONENTS, neighbours: int = 5, rows: int = 2_000) -> None:
        if neighbours < 1 or rows < FEWEST:
            raise ConfigError(
                f"samples needs 1 neighbour and {FEWEST} rows or more, but {neighbours} and {rows} were given"
            )
        self.features = features
        self.neighbours = neighbours
        self.rows = rows
        self._own = None if features == COMPONENTS else OwnFeatures(features)

    @torch.no_grad()
    def __call__(self, subject: Subject) -> Finding:
        fitted, train = subject.fitted, _not_measured(subject)
        n = min(self.rows, len(subject.rows), len(train) // 2 or self.rows)
        if n < FEWEST:
            raise DataError(
                f"samples compares clouds of rows, for which {n} are too few ({FEWEST} or more); choose another "
                "--split, or name more rows after the run"
            )
        beside = evenly(train, n) if len(train) else train
        # Components of few rows suit these rows better than any others: those compared are not among them.
        fit = train[~torch.isin(train, beside)] if len(train) else subject.training.rows
        fit = evenly(fit, min(FITTED_ROWS, max(n, FITTED_CELLS // fitted.spec.dim)))
        fitted_on = _values(fitted, subject.train_batches(fit))
        features = self._own or Components(fitted_on, _spec(fitted), subject.seed)
        measured = subject.batches(n)
        reference = features(_values(fitted, measured))
        real = Manifold(reference, self.neighbours)
        sets = _model_sets(subject, measured)
        if len(train):
            sets[TRAIN] = _values(fitted, subject.train_batches(beside))
        gaussian = _ppca(fitted, fitted_on, subject.model.latent, n, subject.seed)
        if gaussian is not None:
            name, sets[name] = gaussian
        found, clouds, notes = {}, {}, []
        for name, x in subject.paced(sets.items(), len(sets)):
            kept = x[torch.isfinite(x).flatten(1).all(1)]
            if name == MEANS and len(kept) < n:
                continue  # a likelihood without a mean
            if len(kept) < n:
                notes.append(f"{n - len(kept)} of the {n} {name} are not finite and left out, which flatters the rest")
            clouds[name] = features(kept)
            found[name] = _compared(real, Manifold(clouds[name], self.neighbours))
        charts = [_bars(found)]
        if isinstance(features, Components) and features.dim > 1:
            charts.append(_scatter(reference, clouds[DRAWS], subject.split))
        return self._finding(subject, features, found, [*notes, *self._notes(features, found)], charts, n)

    def _notes(self, features: Features, found: Mapping[str, Comparison]) -> list[str]:
        k = self.neighbours
        notes = [f"{features.words}; the figures compare with each other, not with FID and KID figures of papers"]
        if isinstance(features, Components):
            notes[0] += ", which are in features of a network: give some of your own with samples:features=FILE"
            if any(name.startswith("pPCA") for name in found):
                notes.append(
                    "pPCA is fitted to means and covariances, all that the Fréchet distance sees of such features, so "
                    "that it is hard to beat there"
                )
        notes.append(
            f"near a row: no further off than neighbour number {k} of its own kind. precision: share of the set near "
            "some row measured; recall: share of the rows measured near some row of the set; density: to how many "
            f"rows measured each of the set is near, over {k}: 1 where both are alike; coverage: share of the rows "
            "measured that have one of the set near them"
        )
        if any(each.overlap.density > CROWDED for each in found.values()):
            notes.append(
                f"a density above {CROWDED:g} is of a set that crowds where the rows are dense: less varied than they "
                "are, however precise"
            )
        if MEANS in found:
            notes.append(f"{MEANS}: without the noise of p(x given z), as pictures of samples mostly are")
        if TRAIN in found:
            notes.append("training rows are as near as one can hope to come with so many rows")
        return notes

    def _finding(
        self,
        subject: Subject,
        features: Features,
        found: Mapping[str, Comparison],
        notes: Sequence[str],
        charts: Sequence[Chart],
        n: int,
    ) -> Finding:
        rows: list[list[Cell]] = [
            [name, *map(_short, (c.frechet, 1_000 * c.kernel.value, 1_000 * c.kernel.standard_error)),
             *c.overlap.as_json().values()]
            for name, c in found.items()
        ]  # fmt: skip
        return Finding(
            f"{subject.split}: samples against {n} rows",
            {"n": n, "neighbours": self.neighbours, "features": features.as_json(),
             "sets": {name: comparison.as_json() for name, comparison in found.items()}},
            ("set", "Fréchet distance", "kernel x 1000", "standard error", "precision", "recall", "density",
             "coverage"),
            rows,
            notes,
            tuple(charts),
        )  # fmt: skip


def _short(value: float) -> Cell:
    """A figure whose size the features decide, to two digits where two decimals would show none or too many."""
    return value if SMALL <= abs(value) < LARGE else f"{value:.2g}"


def _compared(real: Manifold, generated: Manifold) -> Comparison:
    x, y = real.points, generated.points
    return Comparison(len(y), frechet_distance(x, y), kernel_distance(x, y), overlap(real, generated))


def _spec(fitted: Fitted) -> DataSpec:
    """What rows in the units of the data are: column by column where the model reads them so."""
    return fitted.spec if fitted.spec.kind is Kind.MIXED else fitted.raw


def _not_measured(subject: Subject) -> Tensor:
    """The training rows that are none of the rows measured."""
    train = subject.training
    return train.rows[~torch.isin(train.rows, subject.rows)] if subject.data is train.data else train.rows


def _values(fitted: Fitted, batches: Batches) -> Tensor:
    """Rows as the likelihood sees them, back in the units of the data: binarised ones stay black and white."""
    return torch.cat([fitted.transform.inverse(batch.x) for batch in batches.fixed()]).float()


def _model_sets(subject: Subject, batches: Batches) -> dict[str, Tensor]:
    """As many draws as rows, given their labels where the model reads them, and the means they are drawn around."""
    fitted, model, draws, means = subject.fitted, subject.model, [], []
    for batch in batches.fixed():
        z, x = draw_joint(model, batch)
        draws.append(fitted.transform.inverse(x))
        if _spec(fitted).kind not in WITHOUT_MEAN:
            means.append(fitted.transform.inverse(model.decode(z, batch.context).mean))
    sets = {DRAWS: torch.cat(draws).float()}
    return {**sets, MEANS: torch.cat(means).float()} if means else sets


def _ppca(fitted: Fitted, x: Tensor, latent: int, n: int, seed: int) -> tuple[str, Tensor] | None:
    """Draws of probabilistic PCA fitted to training rows x, made legal; None where there are codes, or it is slow."""
    spec = _spec(fitted)
    if spec.kind in {Kind.CATEGORICAL, Kind.MIXED} or spec.dim < 2 or min(len(x), spec.dim) > PPCA_MOST:
        return None
    values = x.flatten(1).double()
    deviation = values.std(0, correction=0)
    scale = torch.where(deviation > 0, deviation, 1.0) if spec.layout == "table" else torch.ones(())
    floor = RELATIVE_FLOOR * float((values / scale).var(0, correction=0).mean())
    if floor == 0:
        return None
    q = min(latent, spec.dim - 1)
    generator = torch.Generator().manual_seed(seed)
    drawn = fit_ppca(values / scale, q, variance_floor=floor).sample(n, generator) * scale
    low, high = (values.amin(0), values.amax(0)) if spec.layout == "table" else (values.min(), values.max())
    legal = drawn if spec.kind is Kind.REAL else torch.minimum(torch.maximum(drawn, low), high)
    if fitted.spec.kind is Kind.BINARY:
        legal = torch.where(drawn > (low + high) / 2, high, low)
    elif spec.kind in WHOLE:
        legal = legal.round()
    return f"pPCA, q = {q}", legal.reshape(n, *x.shape[1:]).float()


def _bars(found: Mapping[str, Comparison]) -> Chart:
    """Precision, recall and coverage of every set, side by side."""
    ticks = ("precision", "recall", "coverage")
    figures = {name: comparison.overlap.as_json() for name, comparison in found.items()}
    series = {name: [(float(place), of[tick]) for place, tick in enumerate(ticks)] for name, of in figures.items()}
    return Chart("bars", "", "share", series, ticks, "Precision, recall and coverage of each set; higher is better")


def _scatter(reference: Tensor, draws: Tensor, split: str) -> Chart:
    """Rows and draws in the plane of the first two components."""
    series = {
        name: [(round(float(a), 3), round(float(b), 3)) for a, b in evenly(cloud, DRAWN)[:, :2]]
        for name, cloud in ((f"{split} rows", reference), (DRAWS, draws))
    }
    words = (
        f"{split.capitalize()} rows and draws of the model in the first two principal components of the training rows"
    )
    return Chart("points", "first component", "second component", series, words=words)
