"""The vocabulary: batches, the sum over cells, and errors for misspelt names."""

from __future__ import annotations

import pytest
import torch

from nelbo import errors
from nelbo.core import Batch, Group, Model, Space, sum_cells
from nelbo.errors import CompositionError
from nelbo.networks.precision import full_precision


def batch(**extra: torch.Tensor) -> Batch:
    return Batch(torch.arange(24.0).view(4, 1, 2, 3), index=torch.arange(4), label=torch.tensor([3, 1, -1, 0]), **extra)


def test_the_posterior_reads_x_unless_it_is_given_something_else() -> None:
    plain = batch()
    assert plain.inputs is plain.x
    corrupted = torch.zeros(4, 1, 2, 3)
    assert batch(x_in=corrupted).inputs is corrupted


def test_a_slice_takes_the_same_rows_of_everything() -> None:
    whole = batch(
        x_in=torch.randn(4, 1, 2, 3),
        mask=torch.rand(4, 1, 2, 3) < 0.5,
        context=torch.randn(4, 2),
        log_jacobian=torch.randn(4, 1, 2, 3),
    )
    part = whole[1:3]
    assert len(part) == 2
    for name, value in vars(whole).items():
        assert getattr(part, name).equal(value[1:3]), name


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3), (1, 1, 2, 3), (1, 1, 1, 1)])
def test_a_log_jacobian_that_all_rows_share_is_not_sliced(shape: tuple[int, ...]) -> None:
    shared = torch.randn(shape)
    assert batch(log_jacobian=shared)[2:4].log_jacobian is shared


@pytest.mark.parametrize("rows", [1, 4])
def test_slices_put_together_are_summed_like_the_whole(rows: int) -> None:
    whole = batch(log_jacobian=torch.randn(4, 1, 2, 3))
    cells = torch.randn(2, 4, 1, 2, 3)
    pieces = [sum_cells(cells[:, i : i + rows], whole[i : i + rows], 3) for i in range(0, 4, rows)]
    torch.testing.assert_close(torch.cat(pieces, 1), sum_cells(cells, whole, 3))


def test_moving_a_batch_moves_everything() -> None:
    moved = batch(context=torch.randn(4, 2)).to("meta")
    assert {value.device.type for value in vars(moved).values() if value is not None} == {"meta"}
    assert moved.mask is None


def test_half_precision_is_widened_and_double_is_kept() -> None:
    types = {torch.bfloat16: torch.float32, torch.float16: torch.float32, torch.float64: torch.float64}
    assert {t: full_precision(torch.zeros(1, dtype=t)).dtype for t in types} == types


def test_a_misspelt_name_is_answered_with_the_nearest_and_all() -> None:
    problem = errors.unknown("recipe", "vea", ["vae", "beta-vae"], errors.CompositionError)
    assert isinstance(problem, errors.CompositionError)
    assert str(problem) == "unknown recipe 'vea'; did you mean 'vae'? known: beta-vae, vae"
    assert str(errors.unknown("recipe", "xyz", [])) == "unknown recipe 'xyz'; known: none"


@pytest.mark.parametrize(
    "slices",
    [(slice(0, 2), slice(3, 5)), (slice(0, 3), slice(2, 5)), (slice(1, 5),), (slice(0, 5), slice(5, 5)), ()],
    ids=str,
)
def test_groups_that_leave_out_a_latent_or_share_one_are_refused(slices: tuple[slice, ...]) -> None:
    bare = type("Bare", (Model,), {})
    bare.__abstractmethods__ = frozenset()
    with pytest.raises(CompositionError, match="group"):
        bare({str(place): Group(dims, Space.REAL) for place, dims in enumerate(slices)})
