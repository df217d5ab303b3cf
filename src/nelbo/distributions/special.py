"""Functions that keep their digits where the plain formula loses them."""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor


def log1mexp(t: Tensor) -> Tensor:
    """log(1 - exp(t)) for t < 0, by the branch that keeps its digits; t within a rounding error of 0 counts as there.

    Near 0, 1 - exp(t) = 2 s / (1 + s) with s = tanh(-t / 2). It stands in for expm1, which torch's compiler for CPUs
    turns into exp - 1 (pytorch issue 189803).

    References
    ----------
    Mächler (2012), Accurately computing log(1 - exp(-abs(a))), equation 7.
    """
    result: Tensor = _Log1mexp.apply(t.clamp(max=-4 * torch.finfo(t.dtype).tiny))  # type: ignore[no-untyped-call]
    return result


def product(one: Tensor, other: Tensor) -> Tensor:
    """The matrix product in the numbers that it is given: under autocast too, whose bfloat16 would cost nats."""
    with torch.autocast(one.device.type, enabled=False):
        return one @ other


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Matrix by vector, `[..., M, N] and [..., N] -> [..., M]`, as `product`."""
    return product(matrix, vector.unsqueeze(-1)).squeeze(-1)


@final
class _Log1mexp(torch.autograd.Function):
    """Its slope is -exp(t) / (1 - exp(t)) = -exp(t - value): one pass, autograd would go back by both branches."""

    generate_vmap_rule = True

    @staticmethod
    def forward(t: Tensor) -> Tensor:
        s = torch.tanh(-0.5 * t)
        return torch.where(t > -math.log(2.0), torch.log(2 * s) - torch.log1p(s), torch.log1p(-torch.exp(t)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        t, value = ctx.saved_tensors
        return -gradients[0] * torch.exp(t - value)
