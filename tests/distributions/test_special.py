"""Functions that keep their digits, against many digits and under torch's compiler."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

from nelbo.distributions.special import log1mexp


def test_the_logarithm_of_one_minus_exp_keeps_its_digits() -> None:
    t = -torch.logspace(-300, 2, 200, dtype=torch.float64)
    with mpmath.workdps(400):
        expected = [float(mpmath.log(1 - mpmath.exp(mpmath.mpf(float(value))))) for value in t]
    np.testing.assert_allclose(log1mexp(t), expected, rtol=1e-13)


def with_slope(function: Callable[[Tensor], Tensor], t: Tensor) -> tuple[Tensor, Tensor]:
    t = t.clone().requires_grad_()
    result = function(t)
    return result.detach(), torch.autograd.grad(result.sum(), t)[0]


@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling on a CPU needs g++")
def test_single_precision_keeps_value_and_slope_compiled_or_not() -> None:
    """From a rounding error of 0 to where the value itself leaves single precision; 64 numbers: vector code."""
    t = -torch.logspace(-30, 1.8, 64)
    expected = with_slope(log1mexp, t.double())
    for function in (log1mexp, torch.compile(log1mexp, fullgraph=True)):
        for found, wanted in zip(with_slope(function, t), expected, strict=True):
            torch.testing.assert_close(found, wanted.float(), rtol=2e-6, atol=1e-30)


def test_the_end_of_the_range_is_finite() -> None:
    for number in (torch.float32, torch.float64):
        value, slope = with_slope(log1mexp, torch.zeros(3, dtype=number))
        assert bool(torch.isfinite(value).all())
        assert bool(torch.isfinite(slope).all())
