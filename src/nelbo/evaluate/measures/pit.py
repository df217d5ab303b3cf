"""The probability integral transform: whether what the model predicts of a value is as wide as it should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, final

import torch
from torch import Tensor

from nelbo.core import Batch, Model
from nelbo.data import DataSpec
from nelbo.errors import ConfigError, DataError
from nelbo.evaluate.annealing import draw_joint
from nelbo.evaluate.measure import Cell, Finding, Measure, Subject
from nelbo.evaluate.ranks import (
    AS_EXPECTED,
    FEWEST,
    Departures,
    Pooled,
    band,
    departures,
    histograms,
    pooled,
    uniform_ranks,
)
from nelbo.registry import register

BATCH = 100
SHOWN = 8  # columns in the table
DRAWN = 3  # in the chart
KEPT = 1_000  # in the figures
_MEANING = {
    "posterior": "z is one draw from q(z given x) of the same row: is p(x given z) as wide as what is left of x once z "
    "is known? Uniform where the model and q are right. It is no prediction of the row, which the encoder has read",
    "mixture": "x is predicted by p(x given z) averaged over q(z given x) of the same row. The encoder has read the "
    "row, so that ranks gather in the middle (too wide) even where everything is right: compare models by it, or give "
    "latents=posterior or latents=prior, whose ranks are then uniform",
    "prior": "x is predicted by p(x given z) averaged over the prior, without a look at the row: are the values of "
    "each column distributed as those that the model makes? How columns go together is not asked",
}
_FROM = {"posterior": "one posterior draw a row", "mixture": "the posterior, mixed", "prior": "the prior"}


@register("measure/pit")
@final
class Pit(Measure):
    r"""Probability integral transform of the outputs: the predictive distribution function of each value, at the value.

    u = F(x-) + V (F(x) - F(x-)) with V uniform (randomised, for discrete values) has a uniform histogram where the
    predictions are right. F is that of draws of p(x given z): u = (l + V (e + 1)) / (L + 1) with l of L draws below x
    and e equal to it, which is uniform for every L and every likelihood.

    A histogram with high ends: the model's outputs are too narrow, values fall outside of what it holds likely; high in
    the middle: too wide; falling or rising: too high or too low.

    Cells of a row hang together, so that the ranks of all cells are compared with what chance does to rows, by the
    multiplier bootstrap; a single column has one rank a row, and its p value is corrected for the number of columns.

    Parameters
    ----------
    latents
        Where z comes from. ``posterior``: one draw from q(z given x) a row; uniform where model and q are right.
        ``mixture``: one for each draw of x, the posterior predictive distribution, whose ranks gather in the middle
        even then, since q has read the x that is predicted (Meng 1994). ``prior``: p(z), each column's distribution
        without a look at the row.
    draws
        L.
    rows
        At most, evenly spaced.

    References
    ----------
    Czado, Gneiting and Held (2009), Predictive model assessment for count data, Biometrics 65, 1254 (randomised for
    discrete values); Gneiting, Balabdaoui and Raftery (2007), Probabilistic forecasts, calibration and sharpness;
    Meng (1994), Posterior predictive p-values, Annals of Statistics 22, 1142.
    """

    def __init__(
        self, latents: Literal["posterior", "mixture", "prior"] = "posterior", draws: int = 99, rows: int = 1_000
    ) -> None:
        if draws < 1 or rows < FEWEST:
            raise ConfigError(f"pit needs 1 draw and {FEWEST} rows or more, but {draws} and {rows} were given")
        self.latents = latents
        self.draws = draws
        self.rows = rows

    def __call__(self, subject: Subject) -> Finding:
        batches = subject.batches(self.rows, BATCH)
        if batches.rows < FEWEST:
            raise DataError(
                f"pit makes histograms over rows, for which {batches.rows} are too few ({FEWEST} or more); choose "
                "another --split, or name more rows after the run"
            )
        u = torch.cat([self._ranks(subject.model, batch) for batch in subject.paced(batches.fixed(), len(batches))])
        return self._finding(subject, departures(u), pooled(u, subject.seed), len(u))

    @torch.inference_mode()
    def _ranks(self, model: Model, batch: Batch) -> Tensor:
        """u [B, cells]"""
        return uniform_ranks(batch.x, self._drawn(model, batch)).flatten(1)

    def _drawn(self, model: Model, batch: Batch) -> Iterator[Tensor]:
        """L draws of x, [B, *event] each."""
        if self.latents == "prior":
            for _ in range(self.draws):
                yield draw_joint(model, batch)[1]
            return
        q = model.encode(batch)
        px = model.decode(q.sample(), batch.context)
        for _ in range(self.draws):
            yield px.sample()
            if self.latents == "mixture":
                px = model.decode(q.sample(), batch.context)

    def _finding(self, subject: Subject, single: Departures, together: Pooled, n: int) -> Finding:
        spec = subject.fitted.spec
        names, worst = cell_names(spec), single.worst
        expected = sum(single.reading(place) == AS_EXPECTED for place in worst)
        thing = "column" if spec.layout == "table" else "value"
        rows: list[list[Cell]] = [
            ["all together", *together.covered.values(), together.mean, together.distance, None, together.reading]
        ]
        rows += [
            [names[place], *(float(share[place]) for share in single.covered.values()), float(single.mean[place]),
             float(single.distance[place]), float(f"{single.p[place]:.2g}"), single.reading(place)]
            for place in worst[:SHOWN]
        ]  # fmt: skip
        notes = [
            _MEANING[self.latents],
            f"KS distance, all together: {together.distance:.3f}, standard error over rows "
            f"{together.standard_error:.3f}; right outputs stay below {together.threshold:.3f} in 95 of 100 cases",
            f"{expected} of {len(worst)} {thing}s are ranked as expected (p values are corrected for their number); "
            "too narrow: intervals of the model hold fewer of the values than they say; too low: values tend to lie "
            "above",
        ]
        if len(worst) > SHOWN:
            notes.append(f"the {SHOWN} {thing}s with the largest distance are shown, of {len(worst)}")
        axis = "rank of the value among draws of the model"
        inside = (1 - together.half_band, 1 + together.half_band)
        series = {names[place]: single.histogram[place] for place in worst[:DRAWN]}
        charts = (
            histograms(
                {"all together": together.histogram}, inside, axis,
                "Ranks of all values among draws of the model: flat, and within the band, where its outputs are right",
            ),
            histograms(
                series, band(n, single.histogram.shape[1]), axis, f"The same for the {thing}s that are furthest off",
            ),
        )  # fmt: skip
        return Finding(
            f"{subject.split}: ranks of the values of {n} rows among {self.draws} draws of p(x given z), z from "
            f"{_FROM[self.latents]}",
            {
                "n": n,
                "draws": self.draws,
                "latents": self.latents,
                "all": together.as_json(),
                "as_expected": expected,
                "cells": {names[place]: single.as_json(place) for place in worst[:KEPT]},
            },
            ("", *(f"{name} interval covers" for name in single.covered), "mean rank", "KS distance", "p value",
             "outputs are"),
            rows,
            notes,
            charts,
        )  # fmt: skip


def cell_names(spec: DataSpec) -> list[str]:
    """A name for each value of a row: of its column, or where in the image it is."""
    if spec.columns is not None:
        return [column.name for column in spec.columns]
    if spec.layout != "image" or len(spec.event_shape) != 3:
        return [f"column {place + 1}" for place in range(spec.dim)]
    channels, height, width = spec.event_shape
    return [
        f"row {row + 1}, column {column + 1}" + (f", channel {channel + 1}" if channels > 1 else "")
        for channel in range(channels)
        for row in range(height)
        for column in range(width)
    ]
