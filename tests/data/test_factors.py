"""Laws of factors of variation: where they are found, how they are coded, and a sentence for what cannot be."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from nelbo.data import Data, load, with_factors
from nelbo.errors import DataError

ROWS = 12
TABLE = np.random.default_rng(0).standard_normal((ROWS, 3))
SIZE = np.tile([0.5, -1.0, 0.75], 4)
COLOUR = np.repeat(["red", "blue"], 6)


def npz(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "toy.npz", **arrays)  # type: ignore[arg-type]
    return folder / "toy.npz"


def csv(folder: Path) -> Path:
    lines = [f"{a},{b},{size},{colour}" for (a, b, _), size, colour in zip(TABLE, SIZE, COLOUR, strict=True)]
    (folder / "toy.csv").write_text("\n".join(["a,b,size,colour", *lines]))
    return folder / "toy.csv"


def described(data: Data) -> list[tuple[str, int, bool]]:
    return [(factor.name, factor.distinct, factor.ordered) for factor in data.spec.factors]


def codes(data: Data) -> list[list[int]]:
    assert data.factors is not None
    return data.factors.T.tolist()


def test_the_factors_of_an_npz_are_coded_in_the_order_of_their_values(tmp_path: Path) -> None:
    both = np.stack([SIZE, np.arange(ROWS) // 6], axis=1)
    data = load(npz(tmp_path, X=TABLE, factors=both, factor_names=["size", "side"]))
    assert described(data) == [("size", 3, True), ("side", 2, True)]
    assert codes(data) == [[1, 0, 2] * 4, [0] * 6 + [1] * 6]
    assert any("size (3), side (2)" in reason for reason in data.spec.reasons)
    assert data.spec.event_shape == (3,)


def test_factors_without_names_are_counted(tmp_path: Path) -> None:
    assert described(load(npz(tmp_path, X=TABLE, factors=SIZE))) == [("factor1", 3, True)]
    twice = load(npz(tmp_path, X=TABLE, factors=np.stack([SIZE, SIZE], 1), factor_names=["a", "a"]))
    assert [name for name, _, _ in described(twice)] == ["factor1", "factor2"]


def test_the_hash_and_the_rows_do_not_depend_on_the_factors(tmp_path: Path) -> None:
    plain = load(npz(tmp_path, X=TABLE)).sha256
    assert load(npz(tmp_path, X=TABLE, factors=SIZE)).sha256 == plain


def test_an_array_called_factors_that_holds_none_is_left_aside_and_said(tmp_path: Path) -> None:
    data = load(npz(tmp_path, X=TABLE, factors=np.ones((3, 3))))
    assert data.factors is None
    assert data.spec.factors == ()
    assert any("'factors' is left aside" in reason for reason in data.spec.reasons)


def test_factors_are_the_rows_only_where_nothing_else_can_be(tmp_path: Path) -> None:
    assert load(npz(tmp_path, images=np.zeros((4, 5, 5)), factors=np.eye(4))).spec.event_shape == (1, 5, 5)
    alone = load(npz(tmp_path, factors=TABLE))
    assert alone.spec.event_shape == (3,)
    assert alone.factors is None


def test_columns_of_a_table_are_found_by_name_though_training_left_them_aside(tmp_path: Path) -> None:
    data = load(csv(tmp_path), drop=["size", "colour"])
    assert data.factors is None
    found = with_factors(data, ["colour", "size"])
    assert described(found) == [("colour", 2, False), ("size", 3, True)]
    assert codes(found) == [[1] * 6 + [0] * 6, [1, 0, 2] * 4]
    assert found.x is data.x


def test_arrays_of_an_npz_are_found_by_name_and_their_columns_counted(tmp_path: Path) -> None:
    data = load(npz(tmp_path, X=TABLE, y=np.arange(ROWS) % 2, latent=np.stack([SIZE, SIZE], 1), factors=SIZE))
    found = with_factors(data, ["latent", "factor1", "y"])
    assert [name for name, _, _ in described(found)] == ["factor1", "latent1", "latent2", "y"]
    assert codes(found)[0] == codes(found)[2] == [1, 0, 2] * 4
    assert codes(found)[3] == [0, 1] * 6


def test_hdf5_files_hold_them_likewise(tmp_path: Path) -> None:
    plain, cells = tmp_path / "toy.h5", tmp_path / "toy.h5ad"
    with h5py.File(plain, "w") as file:
        file["X"], file["factors"], file["factor_names"], file["other"] = TABLE, SIZE[:, None], ["size"], SIZE
    assert described(load(plain)) == [("size", 3, True)]
    assert described(with_factors(load(plain), ["other"])) == [("other", 3, True)]
    with h5py.File(cells, "w") as file:
        file["X"], file["obs/colour"] = TABLE, [word.encode() for word in COLOUR]
    assert described(with_factors(load(cells), ["colour"])) == [("colour", 2, False)]
    for path in (plain, cells):
        with pytest.raises(DataError, match=r"did you mean '(colour|other)'"):
            with_factors(load(path), ["coluor" if path is cells else "othr"])


def test_what_is_missing_has_the_code_minus_1(tmp_path: Path) -> None:
    size, colour = SIZE.copy(), COLOUR.copy()
    size[1], colour[2] = np.nan, ""
    found = with_factors(load(npz(tmp_path, X=TABLE, size=size, colour=colour)), ["size", "colour"])
    assert [column[:3] for column in codes(found)] == [[1, -1, 2], [1, 1, -1]]


def test_a_factor_of_another_length_is_refused(tmp_path: Path) -> None:
    data = load(npz(tmp_path, X=TABLE, size=SIZE[:5]))
    with pytest.raises(DataError, match="factor 'size' must hold one number or word for each of the 12 rows"):
        with_factors(data, ["size"])


def test_data_without_factors_are_refused_with_the_remedy(tmp_path: Path) -> None:
    for data in (load(TABLE), load("digits"), load(csv(tmp_path), drop=["colour"])):
        with pytest.raises(DataError, match=r"no known factors of variation; .*factors=NAME.*nelbo train shapes"):
            with_factors(data)
    with pytest.raises(DataError, match="no known factors of variation"):
        with_factors(load(TABLE), ["size"])
    with pytest.raises(DataError, match=r"unknown column in .*'sise'; did you mean 'size'"):
        with_factors(load(csv(tmp_path), drop=["colour"]), ["sise"])
    with pytest.raises(DataError, match="unknown factor of variation 'scales'; did you mean 'scale'"):
        with_factors(load("shapes"), ["scales"])
