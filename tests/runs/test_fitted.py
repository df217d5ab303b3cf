"""A fitted model stands alone: with its training data and its run gone, but for `model/`, it works as before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import nelbo
from cli.conftest import TINY, call, read_rows, refuse, succeed, write_table
from nelbo.errors import DataError, StorageError
from nelbo.evaluate import evaluate
from nelbo.runs import Fitted, Run

RNG = np.random.default_rng(0)
COUNTS = RNG.poisson(30, size=(40, 3))
GREY = RNG.integers(0, 256, size=(40, 8, 8), dtype=np.uint8)
Written = tuple[str, tuple[str, ...]]  # what to train on, with options


def table(home: Path) -> Written:
    write_table(home / "new.csv", 10, seed=1)
    return str(write_table(home / "old.csv")), ("--label", "class")


def table_left_aside(home: Path) -> Written:
    """A column is dropped in training; new rows have others, in another order."""
    write_table(home / "old.csv")
    rows = read_rows(home / "old.csv")
    lines = [f"{i},{row['weight']},{row['class']},{row['height']}" for i, row in enumerate(rows[:10])]
    (home / "new.csv").write_text("\n".join(["number,weight,class,height", *lines]) + "\n")
    old = [f"{row['height']},{row['weight']},{i}" for i, row in enumerate(rows)]
    (home / "old.csv").write_text("\n".join(["height,weight,extra", *old]) + "\n")
    return str(home / "old.csv"), ("--drop", "extra")


def archive(home: Path) -> Written:
    np.savez(home / "old.npz", X=COUNTS, y=np.arange(40) % 3)
    np.savez(home / "new.npz", X=COUNTS[:7], y=np.arange(7) % 2)
    return str(home / "old.npz"), ("--kind", "count", "--condition", "label")


def array(home: Path) -> Written:
    np.save(home / "old.npy", np.exp(RNG.normal(size=(40, 3))))
    np.save(home / "new.npy", np.exp(RNG.normal(size=(7, 3))))
    return str(home / "old.npy"), ()


def hdf5(home: Path) -> Written:
    import h5py

    for name, x in (("old", GREY), ("new", GREY[:5])):
        with h5py.File(home / f"{name}.h5", "w") as file:
            file["X"] = x
    return str(home / "old.h5"), ("--binarize", "dynamic")


def images(home: Path) -> Written:
    for name, some in (("old", GREY), ("new", GREY[:5])):
        (home / name).mkdir()
        for place, image in enumerate(some):
            Image.fromarray(image).save(home / name / f"{place:03d}.png")
    return str(home / "old"), ()


SOURCES: dict[str, tuple[Callable[[Path], Written], str]] = {
    "table": (table, "new.csv"),
    "columns left aside": (table_left_aside, "new.csv"),
    "archive with labels": (archive, "new.npz"),
    "array": (array, "new.npy"),
    "hdf5": (hdf5, "new.h5"),
    "folder of images": (images, "new"),
}


def used(run: Path, new: Path, out: Path) -> dict[str, object]:
    """What every command makes of new rows."""
    out.mkdir()
    succeed("encode", run, new, "--spread", "--draws", 2, "-o", out / "codes.npz")
    succeed("reconstruct", run, new, "--draws", 2, "-o", out / "again.npz")
    succeed("sample", run, "-n", 5, "--draw", "-o", out / "made.npz")
    figures = json.loads(succeed("evaluate", run, new, "--samples", 20, "--json").out)
    succeed(
        "evaluate",
        run,
        new,
        "--measure",
        "rate-distortion:betas=1.0,rows=4,chains=2,temperatures=4,leapfrog=2",
        "--json",
    )
    found: dict[str, object] = {"figures": {**figures, "seconds": 0}}
    for name in ("codes", "again", "made"):
        with np.load(out / f"{name}.npz") as arrays:
            found |= {f"{name}.{key}": arrays[key] for key in arrays.files}
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_a_model_works_as_before_when_all_but_its_folder_is_gone(name: str, tmp_path: Path) -> None:
    write, new_name = SOURCES[name]
    source, options = write(tmp_path)
    succeed("train", source, *options, *TINY, "--run", tmp_path / "run")
    new = tmp_path / "given" / new_name
    new.parent.mkdir()
    (tmp_path / new_name).rename(new)
    before = used(tmp_path / "run", new, tmp_path / "before")
    assert before["figures"]["baselines"] or "label" in "".join(options)  # type: ignore[index]
    for path in tmp_path.iterdir():  # the training data, and the run but for model/
        if path.name not in {"run", "given"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (tmp_path / "run").iterdir():
        if path.name != "model":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    after = used(tmp_path / "elsewhere", new, tmp_path / "after")
    assert before.keys() == after.keys()
    assert before["figures"] == after["figures"]
    for key, value in before.items():
        if key != "figures":
            assert np.array_equal(value, after[key]), key  # type: ignore[arg-type]
    assert "holds a model and no run" in refuse("encode", tmp_path / "elsewhere")
    assert "is the model of a run and no run" in refuse("encode", tmp_path / "elsewhere" / "model")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("people")
    succeed("train", write_table(home / "people.csv"), "--label", "class", *TINY, "--run", home / "run")
    return home


def test_rows_may_have_columns_in_any_order_and_more_of_them_and_lack_none(people: Path) -> None:
    fitted = nelbo.load(people / "run")
    rows = read_rows(people / "people.csv")
    x = np.array([[float(row["height"]), float(row["weight"])] for row in rows])
    expected = nelbo.encode(fitted, people / "people.csv").mean
    import pandas as pd
    import polars as pl

    given = {"weight": x[:, 1], "extra": x[:, 0], "height": x[:, 0]}
    for source in (pd.DataFrame(given), pl.DataFrame(given), x, torch.from_numpy(x)):
        np.testing.assert_array_equal(nelbo.encode(fitted, source).mean, expected)
    with pytest.raises(DataError, match="lacks the column 'height' that the run was trained on"):
        nelbo.encode(fitted, pd.DataFrame({"weight": x[:, 1]}))
    with pytest.raises(DataError, match="rows of 3 columns"):
        nelbo.encode(fitted, np.zeros((4, 3)))


def test_data_that_are_read_already_are_matched_by_their_columns_too(people: Path) -> None:
    fitted, rows = nelbo.load(people / "run"), read_rows(people / "people.csv")
    lines = [f"{row['weight']},{row['class']},{row['height']}" for row in rows]
    Path("other.csv").write_text("\n".join(["weight,class,height", *lines]) + "\n")
    expected = nelbo.encode(fitted, people / "people.csv").mean
    np.testing.assert_array_equal(nelbo.encode(fitted, nelbo.load_data("other.csv", label="class")).mean, expected)
    Path("wrong.csv").write_text("weight,width\n1.5,2.5\n2.5,0.5\n")
    with pytest.raises(DataError, match="lacks the column 'height'"):
        nelbo.encode(fitted, nelbo.load_data("wrong.csv"))


def test_rows_that_wait_for_their_label_may_have_an_empty_column_for_it(people: Path) -> None:
    fitted, rows = nelbo.load(people / "run"), read_rows(people / "people.csv")
    Path("bare.csv").write_text("height,weight,class\n" + "".join(f"{r['height']},{r['weight']},\n" for r in rows))
    expected = nelbo.encode(fitted, people / "people.csv").mean
    np.testing.assert_array_equal(nelbo.encode(fitted, "bare.csv").mean, expected)


def test_the_model_of_a_run_and_its_folder_are_the_same_object_in_python(people: Path) -> None:
    of_run, of_folder, of_path = (
        nelbo.load(each) for each in (Run(people / "run"), people / "run" / "model", str(people / "run"))
    )
    x = np.tile([1.0, 2.0], (3, 1))
    for fitted in (of_folder, of_path):
        np.testing.assert_array_equal(nelbo.sample(fitted, 3), nelbo.sample(of_run, 3))
        np.testing.assert_array_equal(
            nelbo.reconstruct(fitted, x).reconstruction, nelbo.reconstruct(of_run, x).reconstruction
        )
    assert evaluate(of_run, x, samples=5).as_json()["n"] == 3


def test_draws_of_the_posterior_are_decoded_beside_the_one_code(people: Path) -> None:
    fitted = nelbo.load(people / "run")
    found = nelbo.reconstruct(fitted, people / "people.csv", draws=300, seed=1)
    assert found.draws is not None
    assert found.draws.shape == (60, 300, 2)
    np.testing.assert_array_equal(found.reconstruction, nelbo.reconstruct(fitted, people / "people.csv").reconstruction)
    assert float(found.draws.std(1).min()) > 0
    succeed("reconstruct", people / "run", "--draws", 2, "-o", "again.csv")
    assert {"height_draw1", "weight_draw2"} <= set(read_rows("again.csv")[0])
    assert "--draws -1 is no number of draws" in refuse("reconstruct", people / "run", "--draws", -1)


def test_own_rows_that_are_gone_are_said_to_be_so(people: Path, tmp_path: Path) -> None:
    home = Path(shutil.copytree(people, tmp_path / "copy"))
    config = home / "run" / "config.json"
    config.write_text(config.read_text().replace(str(people), str(home)))
    (home / "people.csv").unlink()
    sentence = refuse("encode", home / "run")
    assert "cannot be read" in sentence
    assert "name new rows" in sentence
    assert call("sample", home / "run", "-o", tmp_path / "x.csv").status == 0


@pytest.mark.parametrize(
    "about",
    [
        None,
        {},
        {"raw": 3},
        {"transform": "measure/samples"},
        {"modelled": {"name": "x"}},
        {"low": "nan"},
        {"extra": 1},
        {"stored_as": "object"},
        {"threads": -1},
        {"threads": 2**31},
    ],
    ids=str,
)
def test_a_damaged_description_is_one_sentence(people: Path, tmp_path: Path, about: object) -> None:
    folder = Path(shutil.copytree(people / "run", tmp_path / "copy"))
    file = folder / "model" / "config.json"
    content = json.loads(file.read_text())
    content["about"] = {**content["about"], **about} if about else about
    file.write_text(json.dumps(content))
    with pytest.raises(StorageError, match="is damaged"):
        nelbo.load(folder)


def test_baselines_that_are_missing_are_left_out_and_damaged_ones_refused(people: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(people / "run", tmp_path / "copy"))
    file = folder / "model" / "baselines.safetensors"
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(StorageError):
        nelbo.load(folder)
    file.unlink()
    assert evaluate(nelbo.load(folder), people / "people.csv", samples=5).as_json()["baselines"] == []


def test_a_model_in_memory_is_like_the_one_on_disk(people: Path) -> None:
    from nelbo.runs import reopen

    run = Run(people / "run")
    job = reopen(run)
    stored = run.load()
    made = Fitted.of(job, stored.model)
    assert made.about == stored.about
    assert made.baselines is not None
    assert stored.baselines is not None
    theirs = stored.baselines.tensors()
    assert all(tensor.equal(theirs[name]) for name, tensor in made.baselines.tensors().items())


@pytest.mark.parametrize("rows", [[0, 10_000], [-1], [0.5], [[0]]], ids=str)
def test_rows_that_the_data_do_not_have_are_refused(people: Path, rows: list[object]) -> None:
    fitted, file = nelbo.load(people / "run"), people / "people.csv"
    np.testing.assert_array_equal(nelbo.encode(fitted, file, [2, 1]).mean, nelbo.encode(fitted, file).mean[[2, 1]])  # type: ignore[arg-type]
    for use in (nelbo.encode, nelbo.reconstruct):
        with pytest.raises(DataError, match="rows"):
            use(fitted, file, rows)  # type: ignore[arg-type]
