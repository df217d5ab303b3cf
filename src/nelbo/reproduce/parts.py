"""Each of the first twelve parts against the default in its place: a data set where it wins, one where it does not."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from nelbo.core import Model
from nelbo.errors import ConfigError
from nelbo.evaluate import importance_log_likelihood
from nelbo.reproduce.record import Figure, Reproduction, Say
from nelbo.settings import resolve
from nelbo.train.job import Job, prepare, train

DRAWS = 500

Score = Callable[[Model, Job], Tensor]  # [N] over the test rows, higher is better


def log_likelihood(model: Model, job: Job) -> Tensor:
    """Importance-sampled log p(x) of each test row, nats."""
    batches = job.batches("test", batch_size=500).fixed()
    return importance_log_likelihood(model, batches, DRAWS).log_likelihood.double()


@torch.inference_mode()
def reconstruction(model: Model, job: Job) -> Tensor:
    """-100 times the squared error of each test row's reconstruction, over the variance of the test rows in all."""
    squares, rows = [], []
    for batch in job.batches("test", batch_size=500).fixed():
        squares.append((batch.x - model.decode(model.encode(batch).mean).mean).flatten(1).double().square().sum(1))
        rows.append(batch.x.flatten(1).double())
    return -100.0 * torch.cat(squares) / torch.cat(rows).var(0, correction=0).sum()


SCORES: dict[str, Score] = {"log-likelihood": log_likelihood, "reconstruction": reconstruction}


@final
@dataclass(frozen=True)
class Contest:
    """A part and the default in its place, on one data set."""

    part: str  # what is on trial
    data: str
    wins: bool  # what is claimed
    settings: Mapping[str, Any]  # of both
    instead: Mapping[str, Any]  # of the part
    default: Mapping[str, Any] = field(default_factory=dict)
    score: str = "log-likelihood"

    @property
    def name(self) -> str:
        return f"{self.part}, {self.data}: {self.score}"

    def scores(self, own: Mapping[str, Any], seed: int) -> Tensor:
        """The score of each test row after a training with these settings."""
        settings = {**self.settings, **own, "seed": seed}
        job = prepare(resolve({**settings, "source": str(place(settings["source"]))}))
        objective, _, _ = train(job)
        return SCORES[self.score](objective.model.eval(), job)

    def gain(self, seed: int) -> Tensor:
        """Part less default, of each test row."""
        return self.scores(self.instead, seed) - self.scores(self.default, seed)


def place(source: str) -> Path | str:
    """A named data set as it is; a file by its path below $NELBO_DATA."""
    if "/" not in source:
        return source
    folder = os.environ.get("NELBO_DATA")
    if not folder:
        raise ConfigError(f"this reproduction reads {source}; set NELBO_DATA to the folder that holds it")
    return Path(folder) / source


TABLE: dict[str, Any] = {"hidden": (64,), "epochs": 200}
DIGITS: dict[str, Any] = {"source": "digits", "latent": 8, "hidden": (256,), "epochs": 200}


def _table(file: str, **settings: Any) -> dict[str, Any]:
    return {**TABLE, "source": f"tabular/{file}.csv", **settings}


def _anomaly(file: str, **settings: Any) -> dict[str, Any]:
    return {**TABLE, "source": f"anomaly/{file}.npz", "label": "y", **settings}


CARDIO = _anomaly("6_cardio", latent=5)
PIMA = _anomaly("29_Pima", latent=3, epochs=300)
BREASTW = _anomaly("4_breastw", latent=3)
LETTER = _anomaly("20_letter", latent=5, hidden=(128,), epochs=150)
WINE = _table("winequality-red", latent=4)
BANKNOTE = _table("banknote_authentication", latent=2)
STICKS = "stick-breaking:concentration=5"
COUNTS, LEVELS = {"kind": "count"}, {"kind": "levels"}

CONTESTS = (
    Contest("prior mixture", "digits", True, DIGITS, {"prior": "mixture"}),
    Contest("prior mixture", "cardio", False, CARDIO, {"prior": "mixture"}),
    Contest("prior vamp", "digits", True, DIGITS, {"prior": "vamp:components=50"}),
    Contest("prior vamp", "pima", False, PIMA, {"prior": "vamp:components=50"}),
    Contest("prior flow", "digits", True, DIGITS, {"prior": "flow"}),
    Contest("prior flow", "pima", False, PIMA, {"prior": "flow"}),
    Contest("posterior full-gaussian", "breastw", True, BREASTW, {"posterior": "full-gaussian"}),
    Contest("posterior full-gaussian", "banknote", False, BANKNOTE, {"posterior": "full-gaussian"}),
    Contest("posterior iaf", "wine", True, WINE, {"posterior": "iaf:steps=2,hidden=64"}),
    Contest(
        "posterior iaf", "thyroid", False, _anomaly("38_thyroid", latent=3, epochs=100),
        {"posterior": "iaf:steps=2,hidden=64"},
    ),
    Contest(
        "likelihood student-t", "mammography", True, _anomaly("23_mammography", latent=3, epochs=40),
        {"likelihood": "student-t:sigma=dimension"}, {"likelihood": "gaussian:sigma=dimension"},
    ),
    Contest(
        "likelihood student-t", "digits", False, {**DIGITS, "epochs": 60, "transform": "dequantize"},
        {"likelihood": "student-t:sigma=dimension"}, {"likelihood": "gaussian:sigma=dimension"},
    ),
    Contest(
        "likelihood negative-binomial", "digits", True, {**DIGITS, **COUNTS},
        {"likelihood": "negative-binomial"}, {"likelihood": "poisson"},
    ),
    Contest(
        "likelihood negative-binomial", "letter", False, {**LETTER, **COUNTS},
        {"likelihood": "negative-binomial"}, {"likelihood": "poisson"},
    ),
    Contest("likelihood categorical", "letter", True, {**LETTER, **LEVELS}, {"likelihood": "categorical"}),
    Contest("likelihood categorical", "digits", False, DIGITS, {"likelihood": "categorical"}),
    Contest(
        "likelihood discretized-logistic-mixture", "letter", True, {**LETTER, **LEVELS},
        {"likelihood": "discretized-logistic-mixture"},
    ),
    Contest(
        "posterior delta", "ionosphere", True, _anomaly("18_Ionosphere", latent=5, epochs=300),
        {"posterior": "delta", "objective": "autoencoder"}, score="reconstruction",
    ),
    Contest(
        "posterior delta", "wine", False, WINE,
        {"posterior": "delta", "objective": "autoencoder"}, score="reconstruction",
    ),
    Contest(
        "posterior kumaraswamy", "wine", True, {**WINE, "prior": STICKS},
        {"posterior": "kumaraswamy"}, {"posterior": "beta"},
    ),
    Contest("prior stick-breaking", "digits", False, DIGITS, {"prior": STICKS, "posterior": "kumaraswamy"}),
)  # fmt: skip


def measure(seed: int, say: Say) -> dict[str, float]:
    """The mean gain over test rows of each contest, its standard error, and the gain less two of them."""
    figures: dict[str, float] = {}
    for contest in CONTESTS:
        gain = contest.gain(seed)
        mean, error = float(gain.mean()), float(gain.std() / math.sqrt(len(gain)))
        figures[contest.name] = mean
        figures[f"{contest.name}, standard error"] = error
        figures[beyond_doubt(contest)] = mean - 2 * error
        say(f"{contest.name}: {mean:+.3f} +- {error:.3f}")
    return figures


def beyond_doubt(contest: Contest) -> str:
    """The name of the figure with the bar: above 0 where a win is claimed, at most 0 where none is."""
    return f"{contest.name}, less two standard errors"


REPRODUCTION = Reproduction(
    name="parts",
    title="The first twelve parts against the default in their place: gain per test row",
    citation="kingma2014",
    configuration={"contests": [vars(contest) for contest in CONTESTS], "importance_samples": DRAWS},
    figures=[
        Figure(
            beyond_doubt(contest),
            None,
            "wins" if contest.wins else "does not win",
            low=0.0 if contest.wins else None,
            high=None if contest.wins else 0.0,
        )
        for contest in CONTESTS
    ],
    measure=measure,
    sources=("digits",),
    remark="Gains are in nats of log-likelihood (500 importance samples), in percent of the variance for "
    "reconstructions. Files are read below the folder that NELBO_DATA names. Where the "
    "stick-breaking prior wins, the error of nearest neighbours, is `nelbo reproduce sticks`.",
)
