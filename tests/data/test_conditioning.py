"""Labels as context: one-hot in the order of the classes trained on, refused where one is missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from nelbo.data import Batches, Data, load
from nelbo.errors import DataError
from nelbo.settings import resolve
from nelbo.train import Job, prepare

X = np.random.default_rng(0).normal(size=(60, 2))
SETTINGS = {"latent": 2, "hidden": (4,), "epochs": 1, "condition": "label"}


def data(labels: object = None) -> Data:
    given = np.array(["c", "a", "b", "a"] * 15) if labels is None else np.asarray(labels)
    return load((X, given), name="toy")


def job(labels: object = None) -> Job:
    return prepare(resolve(SETTINGS), data(labels))


def test_every_batch_carries_the_one_hot_label_whether_or_not_it_carries_labels() -> None:
    made = job()
    assert made.spec.context == 3
    for labels in (True, False):
        for batch in made.batches("train", labels=labels).epoch(1):
            assert batch.context is not None
            assert batch.index is not None
            expected = [["a", "b", "c"].index("caba"[int(i) % 4]) for i in batch.index]
            assert batch.context.argmax(1).tolist() == expected
            assert batch.context.sum(1).eq(1).all()
            assert (batch.label is not None) == labels


def test_without_a_condition_there_is_no_context() -> None:
    made = prepare(resolve(SETTINGS, {"condition": "none"}), data())
    assert made.spec.context == 0
    assert next(iter(made.batches("train").fixed())).context is None


def batches_like(made: Job, data: Data, rows: torch.Tensor | None = None) -> Batches:
    """Other data as the job's own are."""
    return replace(made, data=data).in_order(rows)


def test_classes_of_other_data_are_found_by_name() -> None:
    other = load((X[:4], np.array(["c", "b", "c", "b"])), name="other")  # codes 1, 0 there, 2, 1 here
    (batch,) = batches_like(job(), other).fixed()
    assert batch.context is not None
    assert batch.context.argmax(1).tolist() == [2, 1, 2, 1]


def test_other_data_without_a_usable_label_are_refused_with_the_row() -> None:
    made = job()
    with pytest.raises(DataError, match=r"'other' holds no labels, but .* with --label"):
        batches_like(made, load(X[:4], name="other"))
    with pytest.raises(DataError, match=r"row 1 of 'other' has the label 'd', which is none of a, b, c"):
        batches_like(made, load((X[:4], np.array(["a", "d", "b", "b"])), name="other"))
    partly = load((X[:4], np.array(["a", "b", "", "b"])), name="other")
    with pytest.raises(DataError, match="row 2 of 'other' has no label"):
        batches_like(made, partly)
    assert len(list(batches_like(made, partly, torch.tensor([0, 1, 3])).fixed())) == 1


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a", "b", "", "a"] * 15, "15 of 60 rows of 'toy' have no label.*remove those rows, or leave out"),
        (["a"] * 60, "the same label; leave out --condition label"),
    ],
)
def test_labels_that_cannot_be_conditioned_on_are_refused(labels: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        job(labels)


def test_data_without_labels_are_refused() -> None:
    with pytest.raises(DataError, match="name their column or array with --label"):
        prepare(resolve(SETTINGS), load(X, name="toy"))


def test_figures_say_what_they_are_given_and_how_much_it_can_be_worth() -> None:
    made = job()
    assert made.data.label is not None
    entropy = stats.entropy(np.bincount(made.data.label[made.split.train].numpy()))
    assert f"at most {entropy:.2f} nats above log p(x)" in made.spec.warnings[-1]
