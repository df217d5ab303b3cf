"""Probes: how well simple classifiers read the label off the latents."""

from __future__ import annotations

from typing import final

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nelbo.core import Model
from nelbo.data import Batches, evenly
from nelbo.errors import ConfigError, DataError
from nelbo.evaluate.measure import Cell, Chart, Finding, Measure, Subject
from nelbo.registry import register

Codes = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


@register("measure/probes")
@final
class Probes(Measure):
    """Accuracy of a nearest-neighbour vote and of a linear classifier on posterior means, fitted on training rows.

    A code that keeps what tells the classes apart lets the neighbours vote right; one that has laid it out along its
    axes lets the linear classifier. Both stand beside the most frequent class.

    Parameters
    ----------
    neighbours
        k of the vote, Euclidean in the latents.
    rows
        Training rows at most, evenly spaced.

    References
    ----------
    Alain and Bengio (2016), Understanding intermediate layers using linear classifier probes, arXiv:1610.01644.
    """

    def __init__(self, neighbours: int = 5, rows: int = 20_000) -> None:
        if neighbours < 1 or rows < 1:
            raise ConfigError(f"probes need 1 neighbour and 1 row or more, but {neighbours} and {rows} were given")
        self.neighbours = neighbours
        self.rows = rows

    def __call__(self, subject: Subject) -> Finding:
        train = codes(subject.model, subject.train_batches(evenly(subject.training.rows, self.rows)))
        z, label = codes(subject.model, subject.batches())
        subject.advance(len(z))
        frequent = np.bincount(train[1]).argmax()
        vote = KNeighborsClassifier(min(self.neighbours, len(train[0]))).fit(*train)
        linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000)).fit(*train)
        accuracy = {
            f"{self.neighbours} nearest neighbours": float(vote.score(z, label)),
            "linear classifier": float(linear.score(z, label)),
            "most frequent class": float((label == frequent).mean()),
        }
        error = {name: float(np.sqrt(a * (1 - a) / len(label))) for name, a in accuracy.items()}
        title = f"{subject.split}: labels of {len(label)} rows read off the latents"
        rows: list[list[Cell]] = [[name, a, error[name]] for name, a in accuracy.items()]
        points = [(float(place), a) for place, a in enumerate(accuracy.values())]
        return Finding(
            title,
            {"accuracy": accuracy, "standard_error": error, "n": len(label), "fitted_on": len(train[0])},
            ("probe", "accuracy", "standard error"),
            rows,
            charts=(Chart("bars", "", "accuracy", {"accuracy": points}, tuple(accuracy), words=title),),
        )


@torch.inference_mode()
def codes(model: Model, batches: Batches) -> Codes:
    """Posterior means [N, D] as the decoder reads them and labels [N] of the rows that have one.

    Raises
    ------
    DataError
        If no row has a label.
    """
    means, labels = [], []
    for batch in batches.fixed():
        if batch.label is not None:
            means.append(model.code(model.point(batch)).double())
            labels.append(batch.label)
    found = torch.cat(labels) if labels else torch.zeros(0)
    known = found >= 0
    if not bool(known.any()):
        raise DataError(
            "probes read labels, but these rows have none; train with --label COLUMN, or name rows after the run "
            "and their --label"
        )
    return torch.cat(means)[known].numpy(), found[known].long().numpy()
