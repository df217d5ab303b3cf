"""Eager = compiled: a compiled objective has the values and the gradients of the eager one, where a compiler exists."""

from __future__ import annotations

import shutil

import pytest
import torch

from nelbo.core import Phase
from zoo import CASES, Case

# One of each way to write a step: dense layers and a closed-form KL, convolutions with dropout and batch norm, a KL by
# Monte Carlo against a prior that reads the posterior, a matrix square root per row, sticks by their inverse CDF.
CANONICAL = (
    "vae-binary",
    "conv-vae-levels",
    "vamp-gaussian",
    "normal-full-gaussian",
    "stick-breaking-kumaraswamy",
    "objective-factor:hidden=8",
)
NAMED = {case.name: case for case in CASES}

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="compiling on a CPU needs g++")


def step(phase: Phase, case: Case) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss and gradients of one step whose noise starts from a seed."""
    torch.manual_seed(5)
    phase.zero_grad()
    loss = phase(case.batch).loss
    loss.backward()
    return loss.detach(), {name: p.grad.clone() for name, p in phase.named_parameters() if p.grad is not None}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", CANONICAL)
def test_a_compiled_step_has_the_loss_and_the_gradients_of_the_eager_one(name: str) -> None:
    case = NAMED[name]
    eager, compiled = case.objective().train(), case.objective().train()
    compiled.load_state_dict(eager.state_dict())
    for phase, peer in zip(eager.phases, compiled.phases, strict=True):
        # Inductor draws its own random numbers unless it is told to fall back on torch's.
        peer.compile(fullgraph=True, options={"fallback_random": True})
        expected, gradients = step(phase, case)
        found, theirs = step(peer, case)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert theirs.keys() == gradients.keys()
        for parameter, gradient in gradients.items():
            size = gradient.abs().max().clamp(min=1e-3)
            torch.testing.assert_close(theirs[parameter] / size, gradient / size, rtol=0, atol=1e-4, msg=parameter)
