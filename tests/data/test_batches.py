"""Laws of batches: every row once, order and noise functions of the seed, memory never shared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nelbo.core import Batch
from nelbo.data import Batches, Data, fit_spec, load, split, transform
from nelbo.errors import ConfigError, DataError

CPU = torch.device("cpu")


def make(data: Data, text: str = "none", rows: torch.Tensor | None = None, **settings: Any) -> Batches:
    f = transform(text, data.spec)
    parts = split(data)
    spec = fit_spec(data, parts, f)
    rows = parts.train if rows is None else rows
    return Batches(data, rows, spec, f, **{"batch_size": 100, "seed": 0, "device": CPU, **settings})


def joined(batches: Any, name: str = "x") -> torch.Tensor:
    return torch.cat([getattr(batch, name) for batch in batches])


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


@pytest.fixture(scope="module")
def table() -> Data:
    return load((np.random.default_rng(0).standard_normal((250, 4)) * 3 + 1, np.arange(250) % 5))


def test_an_epoch_presents_every_row_once(digits: Data) -> None:
    batches = make(digits)
    index = joined(batches.epoch(0), "index")
    assert batches.rows == 1437
    assert torch.equal(index.sort().values, split(digits).train)
    assert [len(batch) for batch in batches.epoch(0)] == [100] * 14 + [37]
    assert len(batches) == 15


def test_drop_last_leaves_out_the_short_batch_of_an_epoch_only(digits: Data) -> None:
    batches = make(digits, drop_last=True)
    assert [len(batch) for batch in batches.epoch(0)] == [100] * 14
    assert len(batches) == 14
    assert sum(len(batch) for batch in batches.fixed()) == 1437


def test_rows_labels_and_numbers_stay_together(table: Data) -> None:
    assert table.label is not None
    for batch in make(table).epoch(3):
        assert batch.index is not None
        assert batch.label is not None
        assert torch.equal(batch.x, table.x[batch.index])
        assert torch.equal(batch.label, table.label[batch.index])


def test_labels_can_be_left_out(table: Data) -> None:
    assert all(batch.label is None for batch in make(table, labels=False).epoch(0))


def test_order_is_a_function_of_seed_and_epoch(digits: Data) -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return joined(make(digits, seed=seed).epoch(epoch), "index").tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1)
    assert order(0, 1) != order(1, 0)
    assert order(0, 0) != order(1, 0)


def test_without_shuffling_the_order_is_that_of_the_rows(digits: Data) -> None:
    rows = torch.tensor([5, 3, 9, 1])
    assert joined(make(digits, rows=rows, shuffle=False).epoch(7), "index").tolist() == [5, 3, 9, 1]


@pytest.mark.parametrize("text", ["binarize", "dequantize", "logit"])
def test_noise_is_a_function_of_seed_and_epoch(digits: Data, text: str) -> None:
    batches = make(digits, text, shuffle=False)
    list(batches.epoch(5))
    first, again, other = (joined(batches.epoch(epoch)) for epoch in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_epoch_does_not_depend_on_other_iterations_under_way(digits: Data) -> None:
    batches = make(digits, "dequantize")
    alone = joined(batches.epoch(0))
    together = torch.cat([a.x for a, _ in zip(batches.epoch(0), batches.epoch(1), strict=True)])
    assert torch.equal(alone, together)


def test_the_global_generator_is_neither_read_nor_moved(digits: Data) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    first = joined(make(digits, "binarize").epoch(0))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert torch.equal(joined(make(digits, "binarize").epoch(0)), first)


@pytest.mark.parametrize("text", ["none", "binarize", "dequantize", "logit"])
def test_fixed_noise_does_not_depend_on_the_batch_size(digits: Data, text: str) -> None:
    sizes = [joined(make(digits, text, batch_size=size).fixed(4)) for size in (1437, 100, 7, 1)]
    assert all(torch.equal(sizes[0], other) for other in sizes[1:])


def test_fixed_follows_the_rows_and_its_own_seed_alone(digits: Data) -> None:
    batches = make(digits, "binarize", seed=1)
    assert torch.equal(joined(batches.fixed(), "index"), split(digits).train)
    assert torch.equal(joined(batches.fixed()), joined(make(digits, "binarize", seed=2).fixed()))
    assert not torch.equal(joined(batches.fixed(0)), joined(batches.fixed(1)))


@pytest.mark.parametrize("text", ["none", "binarize"])
def test_a_model_is_given_the_data_in_their_own_units(digits: Data, text: str) -> None:
    for batch in make(digits, text).epoch(0):
        assert batch.x.dtype == torch.float32
        assert batch.x_in is None
        assert batch.inputs is batch.x


def test_the_log_jacobian_travels_with_its_rows(digits: Data) -> None:
    batch = next(make(digits, "logit").epoch(0))
    assert batch.log_jacobian is not None
    assert batch.log_jacobian.shape == batch.x.shape
    assert next(make(digits, "dequantize").epoch(0)).log_jacobian is None


@pytest.mark.parametrize("text", ["none", "binarize", "dequantize", "density", "logit"])
def test_a_batch_of_given_values_is_what_the_rows_with_these_values_are(digits: Data, text: str) -> None:
    batches = make(digits, text)
    batch = next(batches.fixed())
    given = batches.of(batch.x)
    assert torch.equal(given.inputs, batch.inputs)
    assert (given.log_jacobian is None) is (batch.log_jacobian is None)
    if batch.log_jacobian is not None and given.log_jacobian is not None:
        torch.testing.assert_close(given.log_jacobian, batch.log_jacobian)


@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_batches_never_share_memory(digits: Data, table: Data, kind: str) -> None:
    data = digits if kind == "bytes" else table
    before = data.x.clone()
    kept: list[Batch] = []
    copied: list[torch.Tensor] = []
    for batch in make(data).epoch(0):
        kept.append(batch)
        copied.append(batch.x.clone())
    assert all(torch.equal(batch.x, copy) for batch, copy in zip(kept, copied, strict=True))
    for batch in kept:
        batch.x.zero_()
    assert torch.equal(data.x, before)


def test_bytes_stay_bytes_in_memory(digits: Data) -> None:
    assert make(digits)._x.dtype == torch.uint8


def test_impossible_batches_are_refused(digits: Data) -> None:
    with pytest.raises(ConfigError, match="--batch-size"):
        make(digits, batch_size=0)
    with pytest.raises(DataError, match="0 rows"):
        make(digits, rows=torch.tensor([], dtype=torch.int64))
    with pytest.raises(DataError, match="smaller --batch-size"):
        make(digits, batch_size=2000, drop_last=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("text", ["none", "binarize"])
def test_fixed_noise_and_order_are_the_same_on_cuda(digits: Data, text: str) -> None:
    here, there = make(digits, text), make(digits, text, device=torch.device("cuda"))
    assert torch.equal(joined(here.fixed()), joined(there.fixed()).cpu())
    assert torch.equal(joined(here.epoch(0), "index"), joined(there.epoch(0), "index").cpu())
