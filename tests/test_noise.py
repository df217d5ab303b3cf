"""Noise of one's own: the same each time, and nothing of it seen outside."""

from __future__ import annotations

import torch

from nelbo.noise import apart, mixed_seed, own_noise


def test_own_noise_is_that_of_the_seed_and_leaves_the_global_state() -> None:
    before = torch.get_rng_state()
    draws = []
    for seed in (0, 0, 1):
        with own_noise(seed):
            draws.append(torch.randn(3))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_drawn_apart_goes_on_from_the_global_state_and_leaves_it() -> None:
    with apart(torch.device("cpu")):
        inside = torch.randn(3)
    assert torch.equal(inside, torch.randn(3))


def test_near_seeds_and_streams_give_unlike_seeds_of_63_bits() -> None:
    seeds = {mixed_seed(seed, stream) for seed in range(-5, 40) for stream in range(10)}
    assert len(seeds) == 450
    assert all(0 <= seed < 2**63 for seed in seeds)
