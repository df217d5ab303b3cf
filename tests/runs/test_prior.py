"""A prior fitted afterwards: what it gains, what it leaves alone, and a stage that is resumed like any other."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from nelbo import fit_prior
from nelbo.errors import CompositionError, ConfigError, RunError, StorageError
from nelbo.evaluate import evaluate_split
from nelbo.models import LatentVariableModel
from nelbo.report import write_report
from nelbo.runs import Run, load_model, reopen, resume_stages, runs, train_run
from nelbo.runs.prior import record_gain
from nelbo.settings import resolve
from nelbo.train.monitor import EpochRecord, Listener

SMALL = {"source": "digits", "latent": 3, "hidden": (32,), "threads": 1, "batch_size": 256}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Digits, thirty epochs; not to be changed."""
    return train_run(resolve(SMALL, {"epochs": 30, "lr": 5e-3}), tmp_path_factory.mktemp("refit") / "old")


def model_of(run: Run) -> LatentVariableModel:
    model = run.load().model
    assert isinstance(model, LatentVariableModel)
    return model


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_fitted_normal_has_the_moments_of_the_training_codes(trained: Run, tmp_path: Path) -> None:
    before = contents(trained.folder)
    done = fit_prior(trained, "normal", output=tmp_path / "new", epochs=60, lr=0.02)
    assert contents(trained.folder) == before
    job, model = reopen(trained), model_of(trained)
    with torch.no_grad():
        q = [model.encode(batch) for batch in job.batches("train").fixed()]
    means, variances = torch.cat([each.mean for each in q]), torch.cat([each.variance for each in q])
    prior = model_of(done.run).prior(None)
    np.testing.assert_allclose(prior.mean.detach(), means.mean(0), atol=0.06)
    np.testing.assert_allclose(
        prior.variance.detach(), variances.mean(0) + means.var(0, correction=0), rtol=0.08
    )  # fmt: skip


@pytest.mark.parametrize("prior", ["mixture:components=8", "second-stage:hidden=32"])
def test_the_bound_rises_on_held_out_rows_and_nothing_but_the_prior_moves(
    trained: Run, tmp_path: Path, prior: str
) -> None:
    done = fit_prior(trained, prior, output=tmp_path / "new", epochs=80, lr=0.01)
    gain = done.gain.as_json()
    assert gain["split"] == "validation"
    assert gain["gain"] > 3 * gain["gain_standard_error"] > 0
    assert gain["gain_standard_error"] < 0.5 * gain["bound_before_standard_error"]  # which is what pairing is for
    assert gain["bound_after"] - gain["bound_before"] == pytest.approx(gain["gain"], abs=1e-6)
    old, new = model_of(trained).state_dict(), model_of(done.run).state_dict()
    kept = [name for name in old if not name.startswith("prior.")]
    assert kept
    assert all(old[name].equal(new[name]) for name in kept)
    measured = [evaluate_split(reopen(run), run.load().model, "validation", samples=20) for run in (trained, done.run)]
    bounds = [each.estimate.bound.mean() for each in measured if each.estimate is not None]
    assert float(bounds[1] - bounds[0]) == pytest.approx(gain["gain"], abs=5 * gain["gain_standard_error"])


def test_the_new_run_is_one_like_any_other(trained: Run, tmp_path: Path) -> None:
    done = fit_prior(trained, "normal", output=tmp_path / "new", epochs=2)
    config = done.run.config()
    assert config["settings"]["prior"] == "normal"
    assert config["refit"]["of"] == str(trained.folder)
    assert done.run.metrics() == trained.metrics()
    assert len((done.run.folder / "prior-metrics.jsonl").read_text().splitlines()) == 2
    assert "Afterwards another prior, normal, was fitted" in write_report(done.run).read_text()
    assert [run.folder for run in runs(tmp_path)] == [done.run.folder]
    again = fit_prior(done.run, "mixture:components=2", output=tmp_path / "again", epochs=1)
    assert again.run.config()["refit"]["prior"] == {"before": "normal", "after": "mixture:components=2"}


def test_the_same_seed_gives_the_same_prior_whatever_the_global_state(trained: Run, tmp_path: Path) -> None:
    weights = []
    for name, state in (("a", 1), ("b", 2)):
        torch.manual_seed(state)
        before = torch.get_rng_state()
        run = fit_prior(trained, "mixture:components=3", output=tmp_path / name, epochs=2).run
        assert torch.get_rng_state().equal(before)
        weights.append(load_model(run.folder / "model").state_dict())
    assert all(weights[0][name].equal(weights[1][name]) for name in weights[0])


def test_codes_without_a_spread_take_a_prior_but_have_no_bound(tmp_path: Path) -> None:
    settings = resolve(SMALL, {"posterior": "delta", "objective": "autoencoder", "epochs": 2})
    run = train_run(settings, tmp_path / "ae")
    done = fit_prior(run, "mixture:components=4", output=tmp_path / "new", epochs=20, lr=0.02)
    gain = done.gain.as_json()
    assert gain["bound_before"] is gain["bound_after"] is None
    assert gain["gain"] > 3 * gain["gain_standard_error"]
    assert done.run.load().model.sample(3).sample().shape == (3, 1, 8, 8)


@pytest.mark.parametrize(
    ("prior", "error", "words"),
    [
        ("standard", ConfigError, "'standard' has nothing to fit; give one that learns, such as --prior normal"),
        ("hypersphere", CompositionError, "over unit vectors but the posterior 'gaussian' over real vectors"),
        ("mixtur", ConfigError, "did you mean 'mixture'"),
    ],
)
def test_a_prior_that_cannot_be_fitted_is_refused_and_leaves_nothing(
    trained: Run, tmp_path: Path, prior: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fit_prior(trained, prior, output=tmp_path / "new", epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused_or_moved_aside(trained: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="stays as it is; choose another -o"):
        fit_prior(trained, "normal", output=trained.folder, overwrite=True)
    parent = Run(shutil.copytree(trained.folder, tmp_path / "a" / "001"))
    for place in (tmp_path / "a" / ".." / "a" / "001", tmp_path / "a", parent.folder / "model"):
        with pytest.raises(RunError, match="stays as it is; choose another -o"):
            fit_prior(parent, "normal", output=place, epochs=1, overwrite=True)
    assert contents(parent.folder) == contents(trained.folder)
    other = tmp_path / "other"
    shutil.copytree(trained.folder, other)
    with pytest.raises(RunError, match="choose another -o, or give --overwrite"):
        fit_prior(trained, "normal", output=other)
    held = contents(other)
    fit_prior(trained, "normal", output=other, epochs=1, overwrite=True)
    assert contents(tmp_path / "other.old-1") == held
    assert Run(other).config()["settings"]["prior"] == "normal"


def test_a_fit_that_is_interrupted_goes_on_and_ends_where_an_uninterrupted_one_does(
    trained: Run, tmp_path: Path
) -> None:
    class Stop(Listener):
        def finished_epoch(self, record: EpochRecord, is_best: bool) -> None:
            raise KeyboardInterrupt

    settings = {"epochs": 4, "batch_size": 500}
    whole = fit_prior(trained, "mixture:components=3", output=tmp_path / "whole", **settings).run
    with pytest.raises(KeyboardInterrupt):
        fit_prior(trained, "mixture:components=3", output=tmp_path / "new", listeners=[Stop()], **settings)
    broken = Run(tmp_path / "new")
    assert not broken.is_complete
    resume_stages(broken)
    record_gain(broken)
    assert broken.config()["refit"] == whole.config()["refit"]
    ours, theirs = (load_model(run.folder / "model").state_dict() for run in (broken, whole))
    assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_weights_that_changed_since_are_refused(trained: Run, tmp_path: Path) -> None:
    copy = Run(shutil.copytree(trained.folder, tmp_path / "old"))
    done = fit_prior(copy, "normal", output=tmp_path / "new", epochs=1).run
    shutil.rmtree(done.folder / "model")
    shutil.rmtree(done.folder / "checkpoints")
    fitted = copy.load()
    with torch.no_grad():
        next(fitted.model.parameters()).add_(1.0)
    fitted.save(copy.folder / "model")
    with pytest.raises(StorageError, match="its weights changed"):
        resume_stages(done)
    shutil.rmtree(copy.folder)
    with pytest.raises(RunError, match="to take weights from; put it back"):
        resume_stages(done)
