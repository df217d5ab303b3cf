"""`sample`, `reconstruct` and `encode`, checked against files read by other libraries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from .conftest import read_rows, refuse, succeed, write_table


def test_samples_of_images_are_a_picture_in_the_run_by_default(digits_run: Path) -> None:
    outcome = succeed("sample", digits_run)
    path = digits_run / "samples.png"
    assert str(path) in outcome.out
    with Image.open(path) as image:
        assert image.mode == "L"
        assert min(image.size) > 8 * 64  # 64 digits, each enlarged to 64 pixels


def test_draws_of_levels_are_levels_and_means_are_not(digits_run: Path) -> None:
    succeed("sample", digits_run, "-n", 7, "-o", "draws.npz", "--draw")
    succeed("sample", digits_run, "-n", 7, "-o", "means.npz")
    draws, means = np.load("draws.npz")["x"], np.load("means.npz")["x"]
    assert draws.shape == means.shape == (7, 1, 8, 8)
    assert draws.dtype == np.uint8
    assert draws.max() <= 16
    assert not np.array_equal(means, np.round(means))
    assert means.min() >= 0
    assert means.max() <= 16


def test_same_seed_same_samples_and_another_seed_others(digits_run: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        succeed("sample", digits_run, "-n", 4, "-o", f"{name}.npy", "--seed", seed)
    a, b, c = (np.load(f"{name}.npy") for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_samples_of_a_table_have_its_column_names(table_run: Path) -> None:
    content = json.loads(succeed("sample", table_run, "-n", 5, "-o", "people.csv", "--json").out)
    rows = read_rows("people.csv")
    assert list(rows[0]) == ["height", "weight"]
    assert len(rows) == content["n"] == 5
    assert content["output"] == "people.csv"


def test_reconstruction_error_is_that_of_the_arrays_written(digits_run: Path) -> None:
    content = json.loads(succeed("reconstruct", digits_run, "-o", "r.npz", "--split", "all", "--json").out)
    saved = np.load("r.npz")
    digits = load_digits().images[:, None]
    assert np.array_equal(saved["original"], digits)
    assert np.array_equal(saved["row"], np.arange(len(digits)))
    error = np.mean((digits - saved["reconstruction"]) ** 2)
    assert content["mean_squared_error"] == pytest.approx(error, rel=1e-6)
    assert content["explained_variance"] == pytest.approx(1 - error / digits.var(0).mean(), rel=1e-6)
    assert content["n"] == content["written"] == len(digits)


def test_reconstructions_of_a_table_stand_beside_the_originals(table_run: Path) -> None:
    content = json.loads(succeed("reconstruct", table_run, "--split", "all", "-n", 3, "--json").out)
    rows = read_rows(table_run / "reconstructions.csv")
    source = read_rows(table_run.parent / "people.csv")
    assert list(rows[0]) == ["row", "height", "height_reconstruction", "weight", "weight_reconstruction"]
    assert [float(row["weight"]) for row in rows] == pytest.approx([float(row["weight"]) for row in source[:3]])
    assert set(content["mean_squared_error_per_column"]) == {"height", "weight"}
    assert (content["n"], content["written"]) == (60, 3)


def test_pictures_of_pairs_hold_sixteen_by_default(digits_run: Path) -> None:
    content = json.loads(succeed("reconstruct", digits_run, "-o", "pairs.png", "--json").out)
    assert content["written"] == 16
    assert content["n"] == 180
    assert content["split"] == "test"
    with Image.open("pairs.png") as image:
        assert image.format == "PNG"


def test_codes_carry_row_label_mean_and_spread(digits_run: Path) -> None:
    succeed("encode", digits_run, "-o", "z.csv", "--spread", "--draws", 2)
    rows = read_rows("z.csv")
    assert list(rows[0]) == [
        "row", "label", "z1", "z2", "sigma1", "sigma2", "draw1_z1", "draw1_z2", "draw2_z1", "draw2_z2",
    ]  # fmt: skip
    target = load_digits().target
    assert [int(row["label"]) for row in rows] == [target[int(row["row"])] for row in rows]
    assert all(float(row["sigma1"]) > 0 for row in rows)


def test_npz_and_csv_hold_the_same_codes(digits_run: Path) -> None:
    succeed("encode", digits_run, "-o", "z.csv")
    succeed("encode", digits_run, "-o", "z.npz", "--spread", "--draws", 3)
    saved = np.load("z.npz")
    rows = read_rows("z.csv")
    assert np.array_equal(saved["mean"], np.array([[row["z1"], row["z2"]] for row in rows], np.float32))
    assert saved["spread"].shape == saved["mean"].shape
    assert saved["draws"].shape == (180, 3, 2)
    assert np.array_equal(saved["label_names"][saved["label"]], [row["label"] for row in rows])


def test_codes_are_the_same_every_time_and_for_any_split(digits_run: Path) -> None:
    for name, split in (("once", "test"), ("again", "test"), ("all", "all")):
        succeed("encode", digits_run, "-o", f"{name}.npz", "--split", split)
    once, again, every = (np.load(f"{name}.npz") for name in ("once", "again", "all"))
    assert np.array_equal(once["mean"], again["mean"])
    assert np.allclose(every["mean"][once["row"]], once["mean"], atol=1e-5)


def test_own_codes_of_other_data_are_those_of_the_run(digits_run: Path) -> None:
    """The rows of the data set handed over as a file give the codes of the data set itself."""
    bunch = load_digits()
    np.savez("mine.npz", X=bunch.images.astype(np.uint8)[:30], y=bunch.target[:30])
    succeed("encode", digits_run, "mine.npz", "-o", "mine_z.npz")
    succeed("encode", digits_run, "--split", "all", "-o", "all_z.npz")
    assert np.allclose(np.load("mine_z.npz")["mean"], np.load("all_z.npz")["mean"][:30], atol=1e-5)
    assert np.array_equal(np.load("mine_z.npz")["label"], bunch.target[:30])


def test_columns_of_other_tables_are_found_by_name(table_run: Path) -> None:
    """Another order, no label, a column too many: the codes do not change."""
    source = read_rows(table_run.parent / "people.csv")
    with Path("shuffled.csv").open("w") as file:
        file.write("weight,note,height\n" + "".join(f"{r['weight']},7,{r['height']}\n" for r in source))
    said = succeed("encode", table_run, "shuffled.csv", "-o", "a.npz").err
    succeed("encode", table_run, "--split", "all", "-o", "b.npz")
    assert "columns left aside: note" in said
    assert "label" not in np.load("a.npz")
    assert np.allclose(np.load("a.npz")["mean"], np.load("b.npz")["mean"], atol=1e-5)


def test_a_missing_column_is_named(table_run: Path) -> None:
    Path("half.csv").write_text("height,class\n1.5,even\n2.5,odd\n")
    sentence = refuse("encode", table_run, "half.csv")
    assert "lacks the column 'weight'" in sentence
    assert "height, weight" in sentence


def test_other_data_of_another_shape_are_refused(digits_run: Path) -> None:
    np.save("wide.npy", np.zeros((5, 8, 9), np.uint8))
    for command in ("encode", "reconstruct"):
        sentence = refuse(command, digits_run, "wide.npy")
        assert "1 x 8 x 9" in sentence
        assert "1 x 8 x 8" in sentence


def test_other_data_of_another_kind_are_refused_without_naming_flags_that_do_not_exist(digits_run: Path) -> None:
    np.save("fractions.npy", np.random.default_rng(0).random((5, 8, 8)))
    sentence = refuse("encode", digits_run, "fractions.npy")
    assert "unit data, but the run was trained on levels data" in sentence
    assert "--kind" not in sentence


def test_levels_beyond_those_of_training_are_refused(digits_run: Path) -> None:
    np.save("bright.npy", np.full((5, 8, 8), 20, np.uint8))
    assert "0..16" in refuse("encode", digits_run, "bright.npy")


@pytest.mark.parametrize("command", ["sample", "reconstruct", "encode"])
def test_unknown_endings_are_refused_with_the_list(digits_run: Path, command: str) -> None:
    sentence = refuse(command, digits_run, "-o", "out.jpg")
    assert "'.jpg'" in sentence
    assert ".csv" in sentence
    assert not Path("out.jpg").exists()


def test_pictures_of_what_is_no_image_are_refused(digits_run: Path, table_run: Path) -> None:
    assert "not images; use .npz, .npy or .csv" in refuse("sample", table_run, "-o", "x.png")
    assert "not images" in refuse("encode", digits_run, "-o", "x.png")


def test_a_place_that_cannot_be_written_is_one_sentence(digits_run: Path) -> None:
    Path("file").write_text("in the way")
    assert "cannot write file/x.npz" in refuse("sample", digits_run, "-o", "file/x.npz")


def test_misspelt_splits_and_senseless_numbers_are_refused(digits_run: Path) -> None:
    assert "did you mean 'test'" in refuse("encode", digits_run, "--split", "tset")
    assert "-n 0" in refuse("sample", digits_run, "-n", 0)
    assert "-n 0" in refuse("reconstruct", digits_run, "-n", 0)
    assert "--draws -1" in refuse("encode", digits_run, "--draws", -1)
    assert "--label" in refuse("encode", digits_run, "--label", "class")


def test_evaluation_of_other_data_needs_no_label(table_run: Path) -> None:
    write_table(Path("new.csv"), rows=20, seed=1)
    text = Path("new.csv").read_text().splitlines()
    Path("bare.csv").write_text("\n".join(line.rpartition(",")[0] for line in text) + "\n")
    with_label, bare = (
        json.loads(succeed("evaluate", table_run, name, "--samples", 20, "--json").out)
        for name in ("new.csv", "bare.csv")
    )
    assert with_label["log_likelihood"] == bare["log_likelihood"]
    assert bare["n"] == 20
