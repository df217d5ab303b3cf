"""Stages of a training: weights that are taken over, codes as data, solvers, and what is refused."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nelbo
from cli.conftest import call, read_rows, refuse, succeed
from nelbo.errors import CompositionError, ConfigError, RunError, StorageError
from nelbo.registry import OF_A_MODEL, build
from nelbo.runs import Run, load_model, reopen, train_stages
from nelbo.runs.codes import codes_of
from nelbo.settings import resolve
from nelbo.storage import digest
from nelbo.train.job import Job, prepare
from nelbo.train.stages import Stage, Stored, parse_stages
from zoo import SMALL, rows_of

CONV = {"network": "conv:channels=4,dropout=0.3"}
FIRST = Stage(name="first", changes={"epochs": 3})


def job(data: str = "levels", **settings: Any) -> Job:
    return prepare(resolve(SMALL, {"source": data, "threads": 1}, settings), rows_of(data))


def taken(
    of: str = "first", path: str = "posterior", frozen: bool = True, sha256: str | None = None
) -> dict[str, Stored]:
    return {path: Stored(of=of, path=path, frozen=frozen, sha256=sha256)}


def weights(folder: Path, path: str) -> dict[str, torch.Tensor]:
    found = load_model(folder / "model").state_dict()
    return {name: tensor for name, tensor in found.items() if name.startswith(f"{path}.")}


def test_frozen_weights_stay_and_others_go_on_from_where_they_were(tmp_path: Path) -> None:
    """Batch norm and dropout too: what is frozen is in evaluation mode."""
    last = Stage(name="last", stored={**taken(), **taken(path="likelihood", frozen=False)}, changes={"epochs": 2})
    run = train_stages(job(**CONV), [FIRST, last], tmp_path / "run")
    before, after = tmp_path / "run" / "stages" / "first", tmp_path / "run"
    for name, tensor in weights(before, "posterior").items():
        assert weights(after, "posterior")[name].equal(tensor), name
    assert any(not weights(after, "likelihood")[n].equal(t) for n, t in weights(before, "likelihood").items())
    assert len(run.metrics()) == 2
    assert len((tmp_path / "run" / "first-metrics.jsonl").read_text().splitlines()) == 3
    assert [stage["name"] for stage in run.config()["stages"]] == ["first", "last"]


def test_what_is_not_frozen_starts_from_the_stored_weights(tmp_path: Path) -> None:
    """At a rate of next to nothing the second stage ends where the first one did."""
    stored = {**taken(frozen=False), **taken(path="likelihood", frozen=False)}
    last = Stage(name="last", stored=stored, changes={"epochs": 1, "lr": 1e-30})
    train_stages(job(), [FIRST, last], tmp_path / "run")
    for path in ("posterior", "likelihood"):
        ours, theirs = weights(tmp_path / "run", path), weights(tmp_path / "run" / "stages" / "first", path)
        assert all(ours[name].equal(theirs[name]) for name in theirs)


def test_the_models_spec_holds_no_stored_node_and_build_refuses_one(tmp_path: Path) -> None:
    last = Stage(name="last", stored=taken(), changes={"epochs": 1})
    train_stages(job(), [FIRST, last], tmp_path / "run")
    text = (tmp_path / "run" / "model" / "config.json").read_text()
    assert '"stored"' not in text
    assert "first" not in json.dumps(json.loads(text)["spec"])
    for kind in ("stored/posterior", "stored"):
        with pytest.raises(ConfigError, match="unknown kind of part in a model"):
            build({"part": kind, "of": "first", "path": "posterior"}, kinds=OF_A_MODEL)
    shutil.rmtree(tmp_path / "run" / "stages")  # the model holds all weights itself
    assert nelbo.load(tmp_path / "run").model.latent == 2


def test_codes_of_one_stage_are_the_data_of_the_next(tmp_path: Path) -> None:
    stages = [Stage(name="first", changes={"epochs": 3, "latent": 4}), Stage(name="codes", reads="first")]
    run = train_stages(job("real"), stages, tmp_path / "run", rows_too=True)
    fitted, first = run.load(), nelbo.load(tmp_path / "run" / "stages" / "first")
    assert fitted.reads is not None
    assert [column.name for column in fitted.raw.columns or ()] == ["z1", "z2", "z3", "z4"]
    new = rows_of("real").x[:7].numpy() + 0.1
    codes = codes_of(first, nelbo.load_data(new))
    np.testing.assert_array_equal(nelbo.encode(fitted, new).mean, nelbo.encode(fitted, codes).mean)
    again = reopen(run)
    assert again.spec == fitted.spec
    assert torch.equal(again.split.test, reopen_split(tmp_path / "run").test)
    shutil.copytree(tmp_path / "run" / "model", tmp_path / "alone" / "model")
    shutil.rmtree(tmp_path / "run")
    alone = nelbo.load(tmp_path / "alone")
    np.testing.assert_array_equal(nelbo.encode(alone, new).mean, nelbo.encode(fitted, new).mean)


def reopen_split(folder: Path) -> Any:
    return prepare(resolve(Run(folder).config()["settings"]), rows_of("real")).split


def test_a_solver_is_a_stage_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PCA of the rows in closed form, then a VAE of its codes: figures, a report and every command."""
    monkeypatch.chdir(tmp_path)
    stages = [Stage(name="linear", changes={"recipe": "ppca", "latent": 3}), Stage(name="deep", reads="linear")]
    run = train_stages(job("real"), stages, Path("run"), rows_too=True)
    assert Run("run").state()["stopped"].startswith("all ")
    assert len(Path("run/linear-metrics.jsonl").read_text().splitlines()) == 1
    assert Run("run/stages/linear").load().model.abilities.exact_evidence
    found = json.loads(succeed("evaluate", "run", "--samples", 20, "--json").out)
    assert found["log_likelihood"] is not None
    succeed("report", "run")
    assert call("doctor", "run").status in {0, 3}
    np.savetxt("new.csv", rows_of("real").x[:5].numpy(), delimiter=",")
    succeed("encode", "run", "new.csv", "-o", "codes.csv")
    assert len(read_rows("codes.csv")) == 5
    assert run.is_complete


TWO = """
latent = 3
hidden = [8]
threads = 1

[[stages]]
name = "linear"
changes = { recipe = "ppca", latent = 2 }

[[stages]]
name = "deep"
reads = "linear"
changes = { epochs = 2, latent = 1 }
"""


def test_stages_are_written_in_a_file_or_given_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("two.toml").write_text(TWO)
    x = rows_of("real").x.numpy()
    np.savetxt("rows.csv", x, delimiter=",")
    told = succeed("train", "rows.csv", "--config", "two.toml", "--run", "run", "--json").out
    assert json.loads(told)["log_likelihood"] is not None
    stages = tomllib.loads(TWO)["stages"]
    fitted = nelbo.fit("rows.csv", stages=stages, run="same", latent=3, hidden=(8,), threads=1, report=False)
    ours, theirs = (each.model.state_dict() for each in (nelbo.load("run"), fitted))
    assert all(ours[name].equal(theirs[name]) for name in theirs)
    Path("two.toml").write_text(TWO.replace('reads = "linear"', 'reads = "linaer"'))
    assert "did you mean 'linear'" in refuse("train", "rows.csv", "--config", "two.toml", "--run", "no")
    assert not Path("no").exists()


def test_weights_of_another_run_are_verified_before_anything_is_built(tmp_path: Path) -> None:
    train_stages(job(), [FIRST], tmp_path / "old")
    own = digest(load_model(tmp_path / "old" / "model").state_dict())
    for sha256 in (own, None):
        last = Stage(name="last", stored=taken(of=str(tmp_path / "old"), sha256=sha256), changes={"epochs": 1})
        train_stages(job(), [last], tmp_path / f"new-{sha256 is None}")
    wrong = Stage(name="last", stored=taken(of=str(tmp_path / "old"), sha256="0" * 64))
    with pytest.raises(StorageError, match="its weights changed"):
        train_stages(job(), [wrong], tmp_path / "refused")
    with pytest.raises(RunError, match="there is no earlier stage and no run 'nowhere'"):
        train_stages(job(), [Stage(name="last", stored=taken(of="nowhere"))], tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


def test_rows_that_look_like_codes_are_rows(tmp_path: Path) -> None:
    stages = [Stage(name="first", changes={"latent": 6}), Stage(name="codes", reads="first")]
    fitted = train_stages(job("real"), stages, tmp_path / "run", rows_too=True).load()
    new = rows_of("real").x[:7].numpy()
    np.testing.assert_array_equal(
        nelbo.encode(fitted, new).mean, nelbo.encode(fitted, nelbo.load_data(new, kind="real")).mean
    )
    with pytest.raises(ConfigError, match="models the codes of an earlier stage"):
        nelbo.fit_prior(tmp_path / "run", "normal")
    with pytest.raises(RunError, match="holds a run"):
        train_stages(job("real"), stages, tmp_path / "run")


def test_what_a_later_stage_is_refused_for_is_told_before_the_first_is_trained(tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"changes": {"latents": 3}}, ConfigError, "did you mean 'latent'"),
        ({"stored": taken(of="frist")}, RunError, "no earlier stage and no run 'frist'"),
        ({"stored": taken(path="posteriour")}, CompositionError, "no weights below 'posteriour'"),
        ({"reads": "first", "changes": {"likelihood": "bernoulli"}}, CompositionError, "needs binary"),
    ]
    for place, (stage, error, words) in enumerate(wrong):
        with pytest.raises(error, match=words):
            train_stages(job(), [FIRST, Stage(name="last", **stage)], tmp_path / f"run{place}")
        assert not (tmp_path / f"run{place}").exists()


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ({"stored": taken(path="encoder")}, "no weights below 'encoder'; it has: likelihood, posterior"),
        ({"stored": {"encoder": Stored(of="first", path="posterior")}}, "the model has no part 'encoder'"),
        ({"stored": taken(), "changes": {"hidden": [9]}}, "the stored weights do not fit 'posterior'"),
    ],
)
def test_weights_that_do_not_fit_are_refused(stage: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(CompositionError, match=words):
        train_stages(job(), [FIRST, Stage(name="last", **stage)], tmp_path / "run")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "a list of 1 to 20"),
        ("first", "a list of 1 to 20"),
        ([{"name": "A b"}], "name"),
        ([{"name": "a"}, {"name": "a"}], "two stages are called 'a'"),
        ([{"name": "a", "reads": "b"}], "unknown stage before 'a'"),
        ([{"name": "a", "stored": {"x/../y": {"of": "b", "path": "c"}}}], "no path within a model"),
        ([{"name": "a", "stored": {"x": {"of": "b", "path": "../c"}}}], "path"),
        ([{"name": "a", "objective": "evil"}], "objective"),
        ([{"name": "a", "is_after": True}], "takes weights of it"),
        ([{"name": "a", "more": 1}], "more"),
    ],
)
def test_stages_that_make_no_sense_are_refused(content: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_stages(content)
