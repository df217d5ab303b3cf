"""Calibration: whether q(z given x) has the width and the place of the model's own posterior."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor

from nelbo.core import Batch, Model
from nelbo.data import Batches
from nelbo.errors import CompositionError, ConfigError
from nelbo.evaluate.annealing import draw_joint
from nelbo.evaluate.measure import Cell, Finding, Measure, Subject
from nelbo.evaluate.ranks import AS_EXPECTED, FEWEST, Departures, band, departures, histograms, uniform_ranks
from nelbo.registry import register

ROWS = 500  # simulated together
SCORED = 1_000  # draws times rows decoded together
SHOWN = 10  # latents in the table
DRAWN = 3  # in the chart
FIT = "log p(x given z)"
_OF_THE_FIT = {"too low": "worse at x than the true z", "too high": "better at x than the true z"}


@register("measure/calibration")
@final
class Calibration(Measure):
    r"""Simulation-based calibration of q(z given x): ranks of the true z, which is known on rows that the model makes.

    z ~ p(z), x ~ p(x given z), z_1 .. z_L ~ q(z given x). Where q is the model's posterior, z is one more draw of it,
    and its rank among the z_l is uniform, in each latent and for every function of z and x. Here it is the coordinates
    of z (ties, as of one-hot codes, are broken at random) and log p(x given z), which finds what they cannot: a q that
    equals the prior, or one that is right in each latent but not in all together.

    Ranks at both ends: q is too narrow; in the middle: too wide; at one end: it lies to the side. This is the place and
    width of q on the model's own rows. It says nothing of how well the model fits the data.

    Parameters
    ----------
    simulations
        Rows that the model makes; of a model that reads labels, with those of the rows measured.
    draws
        L.

    References
    ----------
    Talts et al. (2018), Validating Bayesian inference algorithms with simulation-based calibration, arXiv:1804.06788,
    section 4; Modrák et al. (2022), Simulation-based calibration checking for Bayesian computation: the choice of test
    quantities shapes sensitivity, arXiv:2211.02383 (log p(x given z)).
    """

    def __init__(self, simulations: int = 1_000, draws: int = 99) -> None:
        if simulations < FEWEST or draws < 1:
            raise ConfigError(
                f"calibration needs {FEWEST} simulations and 1 draw or more, but {simulations} and {draws} were given"
            )
        self.simulations = simulations
        self.draws = draws

    def __call__(self, subject: Subject) -> Finding:
        if not subject.model.abilities.density:
            raise CompositionError(
                "calibration compares the width of q(z given x) with the posterior's, but this q is a point; train "
                "with --posterior gaussian --objective elbo"
            )
        u = self._ranks(subject)
        known = ~u.isnan().any(1)
        if int(known.sum()) < FEWEST:
            raise CompositionError(
                f"of {len(u)} rows that the model made, {int((~known).sum())} or their codes are not finite, so that "
                "there is nothing to rank; train with a likelihood or a prior of lighter tails"
            )
        return self._finding(subject, departures(u[known]), int(known.sum()))

    @torch.inference_mode()
    def _ranks(self, subject: Subject) -> Tensor:
        """u [N, D + 1] of the latents and of log p(x given z); NaN where x or q is not finite."""
        batches = subject.batches(self.simulations, ROWS)
        rounds = -(-self.simulations // batches.rows)
        found, left = [], self.simulations
        for batch in subject.paced(_again(batches, rounds), rounds * len(batches)):
            given = batch[:left]
            if len(given):
                z, x = draw_joint(subject.model, given)
                found.append(self._ranks_of(subject.model, batches.of(x, given.context), z))
                left -= len(given)
        return torch.cat(found)

    def _ranks_of(self, model: Model, batch: Batch, z: Tensor) -> Tensor:
        q, at_once = model.encode(batch), max(1, SCORED // len(batch))
        regular = torch.isfinite(batch.x).flatten(1).all(1)

        def quantities(z: Tensor) -> Tensor:
            """[K, B, D] -> [K, B, D + 1]"""
            return torch.cat([z, model.log_px(z, batch).unsqueeze(-1)], -1)

        def drawn() -> Iterator[Tensor]:
            nonlocal regular
            for start in range(0, self.draws, at_once):
                some = quantities(q.sample(torch.Size((min(at_once, self.draws - start),))))
                regular = regular & (torch.isfinite(some[..., :-1]).all(-1) & ~some[..., -1].isnan()).all(0)
                yield from some

        u = uniform_ranks(quantities(z.unsqueeze(0))[0], drawn())
        return torch.where(regular.unsqueeze(-1), u, torch.nan)

    def _finding(self, subject: Subject, found: Departures, n: int) -> Finding:
        dim = subject.model.latent
        names = [*(f"latent {place + 1}" for place in range(dim)), FIT]
        shown = [dim, *(place for place in found.worst if place != dim)][: SHOWN + 1]
        reads = [found.reading(place) for place in range(dim + 1)]
        reads[dim] = _OF_THE_FIT.get(reads[dim].rpartition(", ")[2], reads[dim])
        calibrated = sum(reads[place] == AS_EXPECTED for place in range(dim))
        rows: list[list[Cell]] = [
            [names[place], *(float(share[place]) for share in found.covered.values()), float(found.mean[place]),
             float(found.distance[place]), float(f"{found.p[place]:.2g}"), reads[place]]
            for place in shown
        ]  # fmt: skip
        notes = [
            f"{calibrated} of {dim} latents are ranked as expected of the model's own posterior; q(z given x) is "
            "compared with it on rows that the model made, where the true z is known, so that this says nothing of how "
            "well the model fits the data",
            "too narrow: the intervals of q cover the true z less often than they say (ranks at both ends); too wide: "
            "more often (ranks in the middle); too low: the true z tends to lie above the draws of q",
            f"{FIT}: the same for how well z explains x; it finds what single latents cannot, as a q that ignores x",
        ]
        if dim > SHOWN:
            notes.append(f"the {SHOWN} latents with the largest distance are shown, of {dim}")
        if n < self.simulations:
            notes.append(f"{self.simulations - n} of the rows made are left out: they or their codes are not finite")
        inside, axis = band(n, found.histogram.shape[1]), "rank of the true z among draws of q"
        flat = "flat, and within the band, where q is the model's posterior"
        furthest = {names[place]: found.histogram[place] for place in shown[1 : DRAWN + 1]}
        charts = (
            histograms(furthest, inside, axis, f"Ranks of the true z among draws of q, latents furthest off: {flat}"),
            histograms({FIT: found.histogram[dim]}, inside, axis, f"Ranks of {FIT} at the true z: {flat}"),
        )
        return Finding(
            f"calibration of q(z given x): {n} rows made by the model, {self.draws} draws each",
            {"n": n, "draws": self.draws, "calibrated": calibrated,
             "quantities": {name: found.as_json(place) for place, name in enumerate(names)}},
            ("quantity", *(f"{name} interval covers" for name in found.covered), "mean rank", "KS distance",
             "p value", "q is"),
            rows,
            notes,
            charts,
        )  # fmt: skip


def _again(batches: Batches, rounds: int) -> Iterator[Batch]:
    for _ in range(rounds):
        yield from batches.fixed()
