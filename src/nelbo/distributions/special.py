"""Functions that keep their digits where the plain formula loses them."""

from __future__ import annotations

import math

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
    t = t.clamp(max=-4 * torch.finfo(t.dtype).tiny)
    near = t > -math.log(2.0)
    # Each branch sees a harmless value where the other is taken: infinity times 0 is NaN in a gradient.
    s = torch.tanh(-0.5 * torch.where(near, t, -1.0))
    close = torch.log(2 * s) - torch.log1p(s)
    far = torch.log1p(-torch.exp(torch.where(near, -1.0, t)))
    return torch.where(near, close, far)
