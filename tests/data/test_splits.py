"""Laws of splits: parts are disjoint and whole, a seed decides, and leaks are said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nelbo.data import Data, Split, evenly, load, split
from nelbo.data.duplicates import copies, row_codes
from nelbo.errors import ConfigError, DataError

RANDOM = np.random.default_rng(0)
TABLE = RANDOM.standard_normal((200, 3))
LABELS = np.repeat([0, 1, 2], [150, 40, 10])


def grouped(tmp_path: Path, groups: np.ndarray) -> Data:
    np.savez(tmp_path / "toy.npz", X=RANDOM.standard_normal((len(groups), 2)), who=groups)
    return load(tmp_path / "toy.npz", group="who")


def assert_partition(parts: Split, rows: int) -> None:
    every = torch.cat([parts.train, parts.validation, parts.test])
    assert torch.equal(every.sort().values, torch.arange(rows))


@pytest.mark.parametrize("how", ["auto", "random", "stratified", "sequential"])
@pytest.mark.parametrize("seed", range(3))
def test_parts_are_disjoint_whole_and_of_the_shares_asked(how: str, seed: int) -> None:
    parts = split(load((TABLE, LABELS)), how, seed=seed, validation=0.2, test=0.3)
    assert_partition(parts, 200)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [100, 40, 60]


def test_shares_are_a_tenth_by_default() -> None:
    parts = split(load(TABLE))
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [160, 20, 20]


def test_the_seed_decides_and_nothing_else() -> None:
    data = load(TABLE)
    torch.manual_seed(1)
    first = split(data, seed=5)
    torch.manual_seed(2)
    second, other = split(data, seed=5), split(data, seed=6)
    assert torch.equal(first.test, second.test)
    assert not torch.equal(first.test, other.test)


@pytest.mark.parametrize("seed", range(5))
def test_a_stratified_split_has_every_class_in_proportion(seed: int) -> None:
    parts = split(load((TABLE, LABELS)), "stratified", seed=seed)
    for part, share in ((parts.train, 0.8), (parts.validation, 0.1), (parts.test, 0.1)):
        counts = np.bincount(LABELS[part.numpy()], minlength=3)
        assert np.all(np.abs(counts - share * np.array([150, 40, 10])) <= 1)


def test_auto_is_stratified_only_where_every_class_has_ten_rows() -> None:
    assert split(load((TABLE, LABELS))).how == "stratified"
    assert split(load((TABLE, np.repeat([0, 1], [191, 9])))).how == "random"
    assert split(load(TABLE)).how == "random"


def test_a_sequential_split_trains_first_and_tests_last() -> None:
    parts = split(load(TABLE), "sequential")
    assert_partition(parts, 200)
    assert parts.train.max() < parts.validation.min()
    assert parts.validation.max() < parts.test.min()
    assert torch.equal(parts.train, torch.arange(160))


@pytest.mark.parametrize("seed", range(10))
def test_groups_stay_whole(tmp_path: Path, seed: int) -> None:
    groups = np.random.default_rng(seed).integers(0, 12, 200)
    data = grouped(tmp_path, groups)
    parts = split(data, "group", seed=seed)
    assert_partition(parts, 200)
    sides = [set(groups[part.numpy()]) for part in (parts.train, parts.validation, parts.test)]
    assert all(sides)
    assert not (sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2])


def test_three_groups_give_one_to_each_part(tmp_path: Path) -> None:
    parts = split(grouped(tmp_path, np.repeat([0, 1, 2], [100, 1, 1])), "group")
    assert_partition(parts, 102)
    assert min(len(parts.train), len(parts.validation), len(parts.test)) >= 1


def test_all_puts_every_row_in_every_part_and_says_so() -> None:
    parts = split(load(TABLE[:2]), "all")
    assert len(parts.train) == len(parts.validation) == len(parts.test) == 2
    assert "in-sample" in parts.notes[0]


def official(parts: dict[str, int]) -> Data:
    data = load(RANDOM.standard_normal((sum(parts.values()), 2)))
    ends = np.cumsum(list(parts.values()))
    rows = {name: torch.arange(end - n, end) for (name, n), end in zip(parts.items(), ends.tolist(), strict=True)}
    return Data(data.x, None, data.spec, rows)


def test_an_official_split_in_three_is_taken_as_it_is() -> None:
    parts = split(official({"train": 60, "validation": 20, "test": 20}))
    assert parts.how == "official"
    assert torch.equal(parts.validation, torch.arange(60, 80))


def test_an_official_split_in_two_gives_a_sixth_of_training_for_validation() -> None:
    data = official({"train": 60, "test": 20})
    parts = split(data)
    assert_partition(parts, 80)
    assert torch.equal(parts.test, torch.arange(60, 80))
    assert len(parts.validation) == 10
    assert "10 of 60" in parts.how
    assert len(split(data, validation=0.5).validation) == 30
    assert not torch.equal(parts.validation, split(data, seed=1).validation)


@pytest.mark.parametrize(("how", "words"), [("stratified", "labels"), ("group", "--group"), ("official", "official")])
def test_a_split_that_lacks_what_it_needs_is_refused(how: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        split(load(TABLE), how)


def test_two_groups_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="2 groups"):
        split(grouped(tmp_path, np.repeat([0, 1], 50)), "group")


def test_too_few_rows_are_refused_with_the_remedy() -> None:
    with pytest.raises(DataError, match=r"4 rows are too few.*--split all"):
        split(load(TABLE[:4]))


def test_misspelt_splits_and_impossible_shares_are_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'stratified'"):
        split(load(TABLE), "stratifed")
    with pytest.raises(ConfigError, match="test share is 0"):
        split(load(TABLE), test=0)
    with pytest.raises(ConfigError, match="no training rows"):
        split(load(TABLE), test=0.5, validation=0.5)


def test_duplicate_rows_across_splits_are_counted() -> None:
    table = np.random.default_rng(1).standard_normal((100, 3)).astype(np.float32)
    table[[90, 92, 95]] = table[[0, 1, 1]]
    table[85] = table[2]
    table[99] = table[86]
    notes = split(load(table), "sequential").notes
    assert notes == (
        "3 of 10 test rows (30.0 %) are exact copies of training rows",
        "1 of 10 validation rows (10.0 %) is an exact copy of training rows",
        "1 of 10 test rows (10.0 %) is an exact copy of validation rows",
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("width", [1, 3, 8, 13])
def test_rows_share_a_code_exactly_where_numpy_calls_them_equal(dtype: type, width: int) -> None:
    rows = np.random.default_rng(width).integers(0, 3, (500, width)).astype(dtype)
    expected = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    codes = row_codes(torch.from_numpy(rows)).numpy()
    pairs = np.unique(np.stack([codes, expected]), axis=1).shape[1]
    assert pairs == len(np.unique(expected)) == len(np.unique(codes))


def test_zero_and_minus_zero_are_copies() -> None:
    codes = row_codes(torch.tensor([[0.0, 1], [-0.0, 1], [2, 1]]))
    assert copies(codes, torch.tensor([1, 2]), torch.tensor([0])) == 1


def test_the_rows_of_digits_have_no_copies() -> None:
    assert split(load("digits")).notes == ()


@pytest.mark.data
def test_a_random_split_of_a_film_is_flagged() -> None:
    data = load("frey-faces")
    assert any("film" in note and "--split sequential" in note for note in split(data).notes)
    assert not any("film" in note for note in split(data, "sequential").notes)


@pytest.mark.data
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_mnist_keeps_its_official_test_rows_and_gives_10000_for_validation(name: str) -> None:
    parts = split(load(name))
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [50_000, 10_000, 10_000]
    assert torch.equal(parts.test, torch.arange(60_000, 70_000))


@pytest.mark.parametrize(("rows", "most"), [(1, 1), (10, 1), (10, 3), (10, 10), (7, 100), (997, 100), (0, 4)])
def test_evenly_rows_go_from_the_first_to_the_last(rows: int, most: int) -> None:
    found = evenly(torch.arange(rows), most)
    assert len(found) == min(rows, most)
    gaps = found.diff()
    assert len(gaps) == 0 or int(gaps.min()) >= 1
    assert len(gaps) == 0 or int(gaps.max() - gaps.min()) <= 1
    assert rows == 0 or int(found[0]) == 0
    assert most == 1 or rows == 0 or int(found[-1]) == rows - 1


def test_evenly_rows_are_found_among_more_than_single_precision_can_count() -> None:
    assert len(evenly(torch.zeros((), dtype=torch.int8).expand(2**25 + 4), 3)) == 3


def test_copies_of_a_row_stay_on_one_side() -> None:
    rows = torch.randn(60, 3).repeat(5, 1)
    found = split(load(rows), "copies", seed=1)
    codes = [{tuple(row) for row in rows[part].tolist()} for part in (found.train, found.validation, found.test)]
    assert all(not one & other for one, other in (codes[:2], codes[1:], codes[::2]))
    assert sum(map(len, codes)) == 60
    assert not found.notes
