"""SIGKILL at any instant, also while a checkpoint is written: a resumed training ends bit for bit as the whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from train.crashes import EVERY, killed_again_and_again

KILLS = 15  # of each training


@pytest.mark.parametrize("name", EVERY)
def test_a_training_that_is_killed_at_random_instants_ends_bit_for_bit_as_the_whole_one(
    name: str, tmp_path: Path
) -> None:
    runs, different = killed_again_and_again(name, tmp_path, KILLS, seed=0)
    assert runs >= 1
    assert different == []
    assert [path.name for path in tmp_path.rglob("*") if "tmp" in path.name] == []
