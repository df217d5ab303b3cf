"""Laws of data frames and sparse matrices: the same numbers are the same data, and a sentence for every bad input."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from scipy import sparse

from nelbo.data import Data, columns_in, has_named_columns, load, names_in
from nelbo.data.sources import Source, read_beside
from nelbo.errors import DataError, HolesError

RANDOM = np.random.default_rng(0)
LIBRARIES: dict[str, Callable[[Mapping[str, Any]], Source]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": lambda columns: pa.table(dict(columns)),
}
EVERY_LIBRARY = pytest.mark.parametrize("make", LIBRARIES.values(), ids=LIBRARIES)
WORDS = ["b", "a", "b", "c", "a", "b"]
TABLES: dict[str, dict[str, Any]] = {
    "binary": {"p": [0, 1, 1, 0, 1, 0], "q": [1, 1, 0, 0, 0, 1]},
    "levels": {"p": [0, 1, 2, 3, 4, 0], "q": [5, 0, 0, 7, 1, 1]},
    "count": {"p": [0, 1, 2, 3, 4, 90], "q": [5, 0, 0, 700, 1, 1]},
    "unit": {"p": [0.5, 0.25, 0.1, 0.7, 0.3, 0.0], "q": [0.5, 0.2, 1.0, 0.9, 0.8, 0.1]},
    "positive": {"p": [0.5, 2.25, 0.1, 0.7, 0.3, 9.0], "q": [0.5, 3.2, 1.5, 0.9, 0.8, 0.1]},
    "real": {"p": [0.5, -0.25, 0.1, 0.7, 0.3, 0.0], "q": [5, 0, 0, 700, 1, 1]},
}


def label_of(data: Data) -> list[int]:
    assert data.label is not None
    return data.label.tolist()


def assert_same(one: Data, other: Data) -> None:
    assert torch.equal(one.x, other.x)
    assert one.x.dtype == other.x.dtype
    assert one.sha256 == other.sha256
    assert (one.spec.kind, one.spec.levels, one.spec.scaling) == (
        other.spec.kind,
        other.spec.levels,
        other.spec.scaling,
    )
    kinds, others = ([column.kind for column in data.spec.columns or ()] for data in (one, other))
    assert kinds == others
    assert one.spec.label_names == other.spec.label_names


@pytest.mark.parametrize("kind", TABLES)
def test_the_same_numbers_are_the_same_data_in_whatever_they_come(kind: str, tmp_path: Path) -> None:
    columns = TABLES[kind]
    pd.DataFrame(columns | {"y": WORDS}).to_csv(tmp_path / "rows.csv", index=False)
    file = load(tmp_path / "rows.csv", label="y")
    assert file.spec.kind == kind
    for make in LIBRARIES.values():
        data = load(make(columns | {"y": WORDS}), label="y")
        assert_same(file, data)
        assert data.spec.columns == file.spec.columns
        assert label_of(data) == label_of(file)
    values = np.array(list(columns.values())).T
    assert_same(file, load((values, np.array(WORDS))))
    assert_same(file, load((sparse.csr_array(values), WORDS)))


@EVERY_LIBRARY
@pytest.mark.parametrize("name", [None, "other"])
def test_a_frame_says_what_it_is(make: Callable[..., Source], name: str | None) -> None:
    data = load(make({"a": [1.5, 2], "b": [3, 4], "y": [0, 1]}), label="y", name=name)
    assert data.source == "frame of 2 x 3"
    assert data.spec.name == (name or "frame")
    assert data.spec.reasons[0] == "labels are the column 'y'"


DTYPES = ["int8", "uint16", "int64", "float32", "float64", "Int64", "UInt32", "Float32", "Float64", "int32[pyarrow]"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_any_width_are_read_from_pandas(dtype: str) -> None:
    assert_same(load(np.array([[1.0], [40]])), load(pd.DataFrame({"a": [1, 40]}, dtype=dtype)))


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Float64, pl.Decimal(10, 2)])
def test_numbers_of_any_width_are_read_from_polars(dtype: Any) -> None:
    frame = pl.DataFrame({"a": [1, 40]}).with_columns(pl.col("a").cast(dtype))
    assert_same(load(np.array([[1.0], [40]])), load(frame))


def test_booleans_are_0_and_1() -> None:
    truth = {"a": [True, False], "b": [False, False]}
    for frame in (*(make(truth) for make in LIBRARIES.values()), pd.DataFrame(truth, dtype="boolean")):
        data = load(frame)
        assert data.x.tolist() == [[1, 0], [0, 0]]
        assert data.spec.kind == "binary"


def test_sparse_columns_of_pandas_are_read() -> None:
    frame = pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.5]), "b": pd.arrays.SparseArray([True, False])})
    assert load(frame).x.tolist() == [[0, 1], [1.5, 0]]


def test_large_integers_stay_whole_beside_fractions() -> None:
    assert load(pl.DataFrame({"a": [0.5, 1.5], "b": [2**24, 3]})).x[:, 1].tolist() == [2**24, 3]


def test_the_order_of_rows_stays_and_an_index_is_left_aside() -> None:
    frame = pd.DataFrame({"a": [3.5, 1.5, 2.5], "y": ["u", "v", "w"]}, index=[2, 0, 1])
    data = load(frame, label="y")
    assert data.x[:, 0].tolist() == [3.5, 1.5, 2.5]
    assert label_of(data) == [0, 1, 2]
    assert [column.name for column in data.spec.columns or ()] == ["a"]


def test_changing_the_frame_afterwards_does_not_change_the_data() -> None:
    frame = pd.DataFrame({"a": np.array([1.5, 2.5], np.float32)})
    data = load(frame)
    frame.loc[:, "a"] = 0
    assert data.x[:, 0].tolist() == [1.5, 2.5]


@EVERY_LIBRARY
def test_labels_groups_and_drops_leave_the_table(make: Callable[..., Source]) -> None:
    frame = make({"a": [1.5, 2, 3], "y": ["v", "u", "v"], "who": [9, 5, 9], "note": ["", "x", ""], "b": [1, 2, 3]})
    data = load(frame, label="y", group="who", drop=["note"])
    assert [column.name for column in data.spec.columns or ()] == ["a", "b"]
    assert label_of(data) == [1, 0, 1]
    assert data.group is not None
    assert data.group.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("labels", "codes", "names"),
    [
        ([10, 2, 10], [1, 0, 1], ("2", "10")),
        ([10, None, 2], [1, -1, 0], ("2", "10")),
        ([1.0, None, 2.0], [0, -1, 1], ("1", "2")),
        (["b", None, "a"], [1, -1, 0], ("a", "b")),
        (["10", "NA", " 2"], [1, -1, 0], ("2", "10")),
        ([True, False, True], [1, 0, 1], ("False", "True")),
        ([True, None, False], [1, -1, 0], ("False", "True")),
    ],
)
def test_labels_are_coded_as_those_of_a_file(
    labels: list[object], codes: list[int], names: tuple[str, ...], tmp_path: Path
) -> None:
    columns = {"x": [0.5, 1.5, 2.5], "y": labels}
    frames: list[Source] = [make(columns) for make in LIBRARIES.values()]
    cells = ("" if each is None else each for each in labels)
    lines = "".join(f"{x},{y}\n" for x, y in zip(columns["x"], cells, strict=True))
    (tmp_path / "rows.csv").write_text("x,y\n" + lines)
    for source in (tmp_path / "rows.csv", *frames):
        data = load(source, label="y")
        assert (label_of(data), data.spec.label_names) == (codes, names)
    for column in (pl.Series(labels), pd.Series(labels)):
        data = load((np.ones((3, 1)), column))
        assert (label_of(data), data.spec.label_names) == (codes, names)


@pytest.mark.parametrize(
    ("labels", "codes", "names"),
    [
        (pd.Categorical(["b", None, "a"]), [1, -1, 0], ("a", "b")),
        (pd.Categorical([10, 2, 10]), [1, 0, 1], ("2", "10")),
        (pd.array([2, None, 10], dtype="Int64"), [0, -1, 1], ("2", "10")),
        (pd.array(["b", None, "a"], dtype="string"), [1, -1, 0], ("a", "b")),
        (np.array([1, None, "a"], dtype=object), [0, -1, 1], ("1", "a")),
        (pd.to_datetime(["2021-01-01", "2020-01-01", None]), [1, 0, -1], None),
    ],
)
def test_labels_of_pandas_may_be_of_its_own_types(labels: Any, codes: list[int], names: tuple[str, ...] | None) -> None:
    for data in (
        load(pd.DataFrame({"x": [0.5, 1.5, 2.5], "y": labels}), label="y"),
        load((pd.DataFrame({"x": [0.5, 1.5, 2.5]}), pd.Series(labels))),
    ):
        assert label_of(data) == codes
        assert names is None or data.spec.label_names == names


def test_categories_of_polars_are_labels() -> None:
    labels = pl.Series(["b", None, "a"])
    for dtype in (pl.Categorical(), pl.Enum(["b", "a"])):
        frame = pl.DataFrame({"x": [0.5, 1.5, 2.5], "y": labels.cast(dtype)})
        assert label_of(load(frame, label="y")) == [1, -1, 0]


def refused(source: object, words: str, **settings: object) -> DataError:
    with pytest.raises(DataError, match=words) as caught:
        load(source, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return caught.value


HOLED: Sequence[tuple[str, object]] = [
    ("NaN of pandas", pd.DataFrame({"a": [1, 2], "b": [np.nan, 2]})),
    ("NA of pandas", pd.DataFrame({"a": [1, 2], "b": pd.array([None, 2], dtype="Int64")})),
    ("boolean of pandas", pd.DataFrame({"a": [1, 2], "b": pd.array([None, True], dtype="boolean")})),
    ("nothing but holes in pandas", pd.DataFrame({"a": [1, 2], "b": [None, None]})),
    ("infinity", pd.DataFrame({"a": [1, 2], "b": [np.inf, 2]})),
    ("null of Polars", pl.DataFrame({"a": [1, 2], "b": [None, 2]})),
    ("NaN of Polars", pl.DataFrame({"a": [1, 2], "b": [float("nan"), 2]})),
    ("boolean of Polars", pl.DataFrame({"a": [1, 2], "b": [None, True]})),
    ("decimal of Polars", pl.DataFrame({"a": [1, 2], "b": [None, Decimal("1.5")]})),
    ("nothing but holes in Polars", pl.DataFrame({"a": [1, 2], "b": [None, None]})),
    ("null of PyArrow", pa.table({"a": [1, 2], "b": [None, True]})),
]


@pytest.mark.parametrize("frame", [frame for _, frame in HOLED], ids=[name for name, _ in HOLED])
def test_missing_cells_are_placed_and_counted(frame: object) -> None:
    problem = refused(frame, "column 'b', row 0 counting from 0, of [12] in that column.*--drop b")
    assert isinstance(problem, HolesError)
    assert problem.columns == ("b",)


def test_columns_without_numbers_are_named_with_the_remedy() -> None:
    columns: dict[str, Any] = {
        "size": [1, 2],
        "city": ["x", "y"],
        "day": [datetime.date(2020, 1, 1)] * 2,
        "both": [[1], [2]],
    }
    refused(
        pl.DataFrame(columns), r"'city' \(String\), 'day' \(Date\), 'both' \(List\).*drop=\['city', 'day', 'both'\]"
    )
    refused(pd.DataFrame(columns | {"both": pd.Categorical([1, 2])}), r"'both' \(Categorical\).*\.csv")
    refused(pd.DataFrame({"z": [1j, 2]}), "'z'.*encode them as numbers")
    refused(pd.DataFrame({f"c{n}": ["x"] for n in range(9)}), r"'c4' \(String\) and 4 more; .*'c4', \.\.\.\]")


def test_labels_that_name_no_class_are_refused() -> None:
    refused(pl.DataFrame({"x": [1.5], "y": [[1]]}), "column 'y' of the frame holds values of type List", label="y")
    refused(pd.DataFrame({"x": [1.5], "y": [[1]]}), "of type Object", group="y")
    refused(pl.DataFrame({"x": [1.5, 2], "y": [0.5, 2]}), "does not hold classes", label="y")
    refused(pl.DataFrame({"x": [1.5], "y": [None]}), "only missing labels", label="y")


@EVERY_LIBRARY
@pytest.mark.parametrize("flag", ["label", "group", "drop"])
def test_an_unknown_column_is_refused_with_the_nearest(make: Callable[..., Source], flag: str) -> None:
    refused(make({"alpha": [1]}), "did you mean 'alpha'", **{flag: ["alhpa"] if flag == "drop" else "alhpa"})


def test_columns_of_the_same_name_are_refused() -> None:
    for frame in (
        pd.DataFrame([[1, 2, 3]], columns=["b", "a", "a"]),
        pd.DataFrame([[1, 2]], columns=["a", "a"]).rename_axis(columns="column_names"),
        pa.table([[1], [2]], names=["a", "a"]),
    ):
        refused(frame, "names two columns 'a'; give each its own name")
    refused(pd.DataFrame([[1, 2]], columns=[1, "1"]), "names two columns '1'")


def test_names_that_are_no_text_become_text() -> None:
    data = load(pd.DataFrame([[1, 2], [3, 4]]), label="1")
    assert [column.name for column in data.spec.columns or ()] == ["0"]


def test_what_is_no_table_is_refused_with_the_remedy() -> None:
    refused(pd.DataFrame(), r"the frame is empty \(its shape is 0 x 0\)")
    refused(pd.DataFrame(index=[1, 2]), r"the frame is empty \(its shape is 2 x 0\)")
    refused(pl.DataFrame({"a": []}), r"the frame is empty \(its shape is 0 x 1\)")
    refused(pl.LazyFrame({"a": [1]}), r"lazy frame.*\.collect\(\)")
    refused(pl.Series([1, 2]), r"Series.*\.to_frame\(\)")
    refused(pd.DataFrame({"a": [1], "b": [2]}), "no column of the frame is left", label="a", drop=["b"])
    refused({"a": [1]}, "cannot be read from a dict; .*pandas or Polars frame")
    refused((pd.DataFrame({"a": [1, 2]}), [1]), "each of the 2 rows")
    refused((pd.DataFrame({"a": [1, 2]}), [1, 2]), "leave --label out", label="a")


@EVERY_LIBRARY
def test_the_names_of_a_frame_are_those_of_its_columns(make: Callable[..., Source]) -> None:
    frame = make({"a": [1, 2], "y": ["u", None]})
    assert names_in(frame) == columns_in(frame) == ("a", "y")
    assert has_named_columns(frame)
    beside = read_beside(frame, ["y", "a"])
    assert list(beside) == ["y", "a"]
    assert beside["y"].tolist() == ["u", ""]
    assert beside["a"].tolist() == [1, 2]
    with pytest.raises(DataError, match="unknown column in the frame 'b'"):
        read_beside(frame, ["b"])


@pytest.mark.parametrize(
    "source", [np.ones((3, 2)), torch.ones(3, 2), (np.ones((3, 2)), [0, 1, 1]), sparse.eye_array(3).tocsr()]
)
def test_rows_without_names_have_none(source: Source) -> None:
    assert names_in(source) is None
    assert columns_in(source) is None
    assert not has_named_columns(source)
    with pytest.raises(DataError, match=r"of 3 x [23]' has no columns or arrays that y could name"):
        read_beside(source, ["y"])


def test_a_pair_with_a_frame_has_its_columns_but_no_other_labels() -> None:
    pair = (pd.DataFrame({"a": [1, 2]}), [0, 1])
    assert columns_in(pair) == ("a",)
    assert names_in(pair) is None


VALUES = RANDOM.poisson(0.5, (6, 4))


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"])
@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float32, np.float64])
def test_sparse_matrices_of_any_format_are_the_dense_one(form: str, dtype: type) -> None:
    dense = VALUES.astype(dtype)
    for made in (sparse.csr_matrix(dense), sparse.csr_array(dense)):
        data = load(made.asformat(form), drop=["column2"])
        assert_same(load(dense, drop=["column2"]), data)
        assert data.spec.columns == load(dense, drop=["column2"]).spec.columns
        assert (data.source, data.spec.name) == ("sparse matrix of 6 x 4", "matrix")


def test_bad_sparse_matrices_are_refused() -> None:
    refused(sparse.csr_array((0, 3)), "the sparse matrix is empty")
    refused(sparse.csr_array([[0, np.nan]]), "column 'column2', row 0")
    refused(sparse.csr_array([[1j]]), "not numbers")
    refused(sparse.coo_array(np.ones(3)), r"has the shape 3; give a table \(N, D\)")
    refused(sparse.csr_array([[1]]), "leave --label out", label="y")
    refused(sparse.csr_array((10**6, 5000)), "1000000 x 5000 values, 18.6 GiB.*at most 16 GiB.*select columns or rows")


def test_importing_the_data_does_not_import_narwhals() -> None:
    script = "import sys, nelbo.data; sys.exit('narwhals' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
