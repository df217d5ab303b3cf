"""A module that is read and not trained."""

from __future__ import annotations

import copy

import torch
from torch import nn

from nelbo.objectives.frozen import Frozen


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1)).train()


def test_it_gives_the_modules_output_and_the_gradient_of_its_input_alone() -> None:
    module, x = network(), torch.randn(5, 3, requires_grad=True)
    before = copy.deepcopy(module.state_dict())
    out = Frozen(module)(x)
    out.sum().backward()
    found = x.grad
    assert all(p.grad is None for p in module.parameters())
    assert all(value.equal(before[name]) for name, value in module.state_dict().items())  # running statistics too
    x.grad = None
    expected = module(x)
    torch.testing.assert_close(out, expected)
    expected.sum().backward()
    torch.testing.assert_close(found, x.grad)
    assert not all(value.equal(before[name]) for name, value in module.state_dict().items())


def test_it_follows_the_module_and_does_not_register_it() -> None:
    module, x = network().eval(), torch.randn(5, 3)
    holder = nn.Module()
    holder.reading = Frozen(module)  # type: ignore[assignment]
    assert list(holder.parameters()) == []
    assert holder.state_dict() == {}
    with torch.no_grad():
        before = holder.reading(x)
        module[3].bias += 1.0  # type: ignore[index]
        torch.testing.assert_close(holder.reading(x), before + 1.0)
