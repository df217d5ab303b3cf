"""The residual multilayer perceptron against its formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.errors import ConfigError
from nelbo.networks import ResidualMLP
from nelbo.networks.residual import Residual


def test_a_block_is_the_sum_of_the_formula() -> None:
    torch.manual_seed(0)
    network, x = ResidualMLP(3, 2, hidden=(4, 5), activation="tanh").double(), torch.randn(6, 3).double()
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    p = dict(network.named_parameters())

    def norm(h: Tensor, name: str) -> Tensor:
        centred = h - h.mean(1, keepdim=True)
        spread = (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
        return centred / spread * p[f"{name}.weight"] + p[f"{name}.bias"]

    def affine(h: Tensor, name: str) -> Tensor:
        return h @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    h = affine(x, "first")
    for i, shortcut in enumerate((lambda h: h, lambda h: h @ p["blocks.1.shortcut.weight"].T)):
        inner = affine(torch.tanh(norm(h, f"blocks.{i}.layers.0")), f"blocks.{i}.layers.2")
        h = shortcut(h) + affine(torch.tanh(norm(inner, f"blocks.{i}.layers.3")), f"blocks.{i}.layers.6")
    expected = affine(torch.tanh(norm(h, "last.0")), "last.2")
    torch.testing.assert_close(network(x), expected)


def test_an_activation_in_place_does_not_write_into_the_shortcut() -> None:
    """In the default network, with ReLUs in place: blocks that add nothing leave the stream as it is."""
    network, x = ResidualMLP(5, 3, hidden=(8,), blocks=3), torch.randn(4, 5)
    with torch.no_grad():
        for block in network.blocks:
            for parameter in block.layers[-1].parameters():
                parameter.zero_()
        h = network.first(x)
        assert torch.equal(network.blocks(h), h)
        torch.testing.assert_close(network(x), network.last(h))


def test_every_width_has_its_blocks_and_only_changes_of_width_have_weights_in_the_shortcut() -> None:
    blocks = [b for b in ResidualMLP(9, 3, hidden=(8, 8, 4), blocks=2).blocks if isinstance(b, Residual)]
    assert len(blocks) == 6
    assert [sum(p.numel() for p in block.shortcut.parameters()) for block in blocks] == [0, 0, 0, 0, 32, 0]


def test_a_deep_network_passes_a_gradient_of_order_one() -> None:
    """What the shortcuts are for: the plain network of the same depth loses it by many orders of magnitude."""
    torch.manual_seed(0)
    x = torch.randn(16, 8, requires_grad=True)
    (gradient,) = torch.autograd.grad(ResidualMLP(8, 1, hidden=(32,), blocks=40)(x).sum(), x)
    assert float(gradient.abs().mean()) > 1e-2
    plain = nn.Sequential(nn.Linear(8, 32), *(m for _ in range(80) for m in (nn.ReLU(), nn.Linear(32, 32))))
    (lost,) = torch.autograd.grad(plain(x).sum(), x)
    assert float(lost.abs().mean()) < 1e-6


def test_inputs_of_any_size_give_finite_outputs() -> None:
    network = ResidualMLP(4, 2, hidden=(8,), blocks=2)
    for size in (0.0, 1e-30, 1e15):
        x = torch.full((3, 4), size, requires_grad=True)
        out = network(x)
        out.sum().backward()
        assert bool(torch.isfinite(out).all())
        assert x.grad is not None
        assert bool(torch.isfinite(x.grad).all())


def test_dropout_acts_in_training_only() -> None:
    network, x = ResidualMLP(4, 3, hidden=(32,), dropout=0.5), torch.randn(3, 4)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


@pytest.mark.parametrize("wrong", [{"hidden": ()}, {"hidden": (1,)}, {"hidden": (8, 1)}, {"blocks": 0}])
def test_widths_that_a_layer_norm_empties_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"needs hidden sizes of 2 or more and 1 block or more"):
        ResidualMLP(3, 2, **wrong)  # type: ignore[arg-type]


def test_gradients_are_those_of_finite_differences() -> None:
    network = ResidualMLP(3, 2, hidden=(4, 5), activation="softplus").double()
    x = torch.randn(2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(network, (x,))
    assert F.mse_loss(network(x), network(x)) == 0
