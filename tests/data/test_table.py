"""Laws of reading tables: what is found by looking, and where bad cells are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nelbo.data import Data, load
from nelbo.errors import DataError


def read(tmp_path: Path, text: str, **settings: object) -> Data:
    path = tmp_path / "toy.csv"
    path.write_text(text, encoding="utf-8")
    return load(path, **settings)  # type: ignore[arg-type]


def names(data: Data) -> list[str]:
    return [column.name for column in data.spec.columns or ()]


@pytest.mark.parametrize("mark", [",", ";", "\t", ", "])
def test_the_delimiter_is_found(tmp_path: Path, mark: str) -> None:
    text = "\n".join(mark.join(row) for row in (["a", "b c", "d"], ["1.5", "2", "3"], ["4", "-5e-1", "6"]))
    data = read(tmp_path, text)
    assert data.x.tolist() == [[1.5, 2, 3], [4, -0.5, 6]]
    assert names(data) == ["a", "b c", "d"]


def test_a_file_without_header_gets_numbered_columns(tmp_path: Path) -> None:
    data = read(tmp_path, "1.5,2\n3,4\n")
    assert names(data) == ["column1", "column2"]
    assert len(data) == 2
    assert any("no header" in reason for reason in data.spec.reasons)


def test_a_text_label_in_every_row_is_not_a_header(tmp_path: Path) -> None:
    data = read(tmp_path, "red,1.5\nblue,2.5\nred,3.5\n", label="column1")
    assert data.label is not None
    assert data.label.tolist() == [1, 0, 1]
    assert data.spec.label_names == ("blue", "red")


def test_a_header_above_a_text_label_is_found(tmp_path: Path) -> None:
    data = read(tmp_path, "colour,size\nred,1.5\nblue,2.5\n", label="colour")
    assert data.spec.label_names == ("blue", "red")
    assert names(data) == ["size"]


def test_column_numbers_are_a_header(tmp_path: Path) -> None:
    assert read(tmp_path, "0,1,2\n5.5,6,7\n").x.tolist() == [[5.5, 6, 7]]


def test_numeric_labels_sort_as_numbers(tmp_path: Path) -> None:
    data = read(tmp_path, "x,y\n.5,10\n.6,9\n.7,?\n", label="y")
    assert data.spec.label_names == ("9", "10")
    assert data.label is not None
    assert data.label.tolist() == [1, 0, -1]


def test_quotes_may_hold_delimiters_and_line_breaks(tmp_path: Path) -> None:
    data = read(tmp_path, '"a, or b","c"\n"1.5","2"\n"3","4"\n')
    assert names(data) == ["a, or b", "c"]
    assert read(tmp_path, 'a,y\n1.5,"p\nq"\n2.5,r\n', label="y").spec.label_names == ("p\nq", "r")


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "toy.csv").write_bytes(b"\xef\xbb\xbfa,b\r\n1.5,2\r\n3,4\r\n")
    data = load(tmp_path / "toy.csv")
    assert names(data) == ["a", "b"]
    assert len(data) == 2


def test_blank_lines_are_passed_over_and_line_numbers_stay_true(tmp_path: Path) -> None:
    assert len(read(tmp_path, "a,b\n\n1.5,2\n   \n3,4\n\n")) == 2
    with pytest.raises(DataError, match=r"line 5 .* has 3 cells, but line 1 has 2"):
        read(tmp_path, "a,b\n\n1,2\n\n3,4,5\n")


def test_groups_and_drops_leave_the_table(tmp_path: Path) -> None:
    data = read(tmp_path, "id,who,a\n7,x,1.5\n8,y,2.5\n9,x,3.5\n", group="who", drop=["id"])
    assert data.group is not None
    assert data.group.tolist() == [0, 1, 0]
    assert names(data) == ["a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ("a,b\n", "no rows"),
        ("1,2\n3\n", "line 2 .* has 1 cells, but line 1 has 2"),
        ("a,b\n1,2\n3,x\n", "'b' .* is not numeric: 'x' in line 3; use --drop b"),
        ("a,b,c\n1,x,u\n3,y,v\n", r"'x' in line 2 \(nor are: c\)"),
        ("a,b\n1,2\n3,\n4,?\n", "'b' .* has missing cells, 2 in all, the first in line 3.*--drop b"),
        ("a,b\n1,2\n3,nan\n", "'b' .* has missing cells, 1 in all"),
        ("a,b\n1,2\n3,inf\n", "column 'b', row 1"),
        ("a,a\n1,2\n", "two columns 'a'"),
    ],
)
def test_bad_tables_are_refused_with_the_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path, text)


@pytest.mark.parametrize(("flag", "value"), [("label", "colr"), ("group", "colr"), ("drop", ["colr"])])
def test_an_unknown_column_is_refused_with_the_nearest(tmp_path: Path, flag: str, value: object) -> None:
    with pytest.raises(DataError, match="did you mean 'color'"):
        read(tmp_path, "color,size\n1,2\n", **{flag: value})


def test_a_table_of_nothing_but_its_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="keep at least one"):
        read(tmp_path, "a\n1\n", label="a")


def test_what_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "toy.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match="UTF-8"):
        load(tmp_path / "toy.csv")


def test_tables_agree_with_numpy(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((30, 4))
    np.savetxt(tmp_path / "toy.csv", values, delimiter=";")
    expected = np.loadtxt(tmp_path / "toy.csv", delimiter=";").astype(np.float32)
    assert np.array_equal(load(tmp_path / "toy.csv").x.numpy(), expected)
