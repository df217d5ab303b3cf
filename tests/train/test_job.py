"""What is settled before the first step."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nelbo.core import SinglePhase
from nelbo.errors import CompositionError
from nelbo.settings import resolve
from nelbo.train import Job, prepare
from nelbo.train.job import dry_run, threads, train
from zoo import SMALL, rows_of


def job(data: str = "real", **settings: Any) -> Job:
    return prepare(resolve({**SMALL, "epochs": None}, {"source": data}, settings), rows_of(data))


def test_open_settings_are_settled() -> None:
    settings = job("positive").settings
    assert settings.transform == "log"
    assert settings.likelihood == "gaussian:sigma=dimension"
    assert settings.epochs is not None
    assert settings.patience is not None
    assert settings.threads == torch.get_num_threads()


def test_settled_settings_settle_to_themselves() -> None:
    for data in ("positive", "levels", "binary", "unit"):
        first = job(data).settings
        again = prepare(resolve(first.model_dump(mode="json")), rows_of(data)).settings
        assert again == first


def test_a_length_that_was_chosen_is_kept() -> None:
    assert job(epochs=3).settings.epochs == 3
    by_steps = job(steps=10).settings
    assert (by_steps.steps, by_steps.epochs) == (10, None)


def test_the_parts_of_the_split_do_not_meet() -> None:
    split = job().split
    parts = [set(part.tolist()) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 60


def test_a_likelihood_that_does_not_fit_is_refused_before_training() -> None:
    with pytest.raises(CompositionError, match="likelihood 'bernoulli' needs binary data"):
        job("levels", likelihood="bernoulli")


def test_building_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    job().build()
    assert torch.get_rng_state().equal(before)


def test_the_model_of_an_objective_is_its_model() -> None:
    objective = job().build()
    assert isinstance(objective, SinglePhase)
    assert objective.model is objective.get_submodule("model")


def test_a_dry_run_counts_the_parameters_and_changes_nothing() -> None:
    this = job(epochs=4)
    before = torch.get_rng_state()
    found = dry_run(this, steps=3)
    # By hand: 6-8-6-4 encoder, 2-6-8-6 decoder, 6 variances.
    expected = (7 * 8 + 9 * 6 + 7 * 4) + (3 * 6 + 7 * 8 + 9 * 6) + 6
    assert found.parameters == expected
    assert found.epochs == 4
    assert found.seconds == pytest.approx(4 * found.seconds_per_epoch)
    assert found.seconds_per_epoch > 0
    assert found.memory_mb > 0
    assert torch.get_rng_state().equal(before)


def test_threads_are_given_back_after_an_error() -> None:
    before = torch.get_num_threads()

    def fail() -> None:
        with threads(2):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.get_num_threads() == before


def test_parts_that_start_from_data_see_training_rows_alone_and_are_saved() -> None:
    settings = {"source": "digits", "transform": "binarize:mode=threshold", "likelihood": "bernoulli:start=mean"}
    job = prepare(resolve({**settings, "epochs": 1, "hidden": (8,), "latent": 2}))
    offset = job.build().get_submodule("model.likelihood").offset
    x = next(job.batches("train", batch_size=len(job.split.train)).fixed()).x
    assert torch.allclose(offset, x.mean(0).clamp(1e-3, 1 - 1e-3).logit(), atol=1e-5)
    objective, _, _ = train(job)
    assert torch.equal(objective.state_dict()["model.likelihood.offset"], offset)
