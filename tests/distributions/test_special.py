"""Functions that keep their digits, against many digits and under torch's compiler."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

from nelbo.distributions.special import log1mexp, product


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
            # The slope at t = -1e-30 is exp(69): rounding of the exponent is 4e-6 of it.
            torch.testing.assert_close(found, wanted.float(), rtol=6e-6, atol=1e-30)


def test_its_derivatives_are_those_of_finite_differences_also_in_a_batch_of_functions() -> None:
    t = torch.tensor([-3.0, -0.7, -0.69, -0.01], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(log1mexp, (t,))
    assert torch.autograd.gradgradcheck(log1mexp, (t,))
    slopes = torch.func.vmap(torch.func.grad(log1mexp))(t.detach())
    torch.testing.assert_close(slopes, -1 / torch.expm1(-t.detach()))


def test_the_end_of_the_range_is_finite() -> None:
    for number in (torch.float32, torch.float64):
        value, slope = with_slope(log1mexp, torch.zeros(3, dtype=number))
        assert bool(torch.isfinite(value).all())
        assert bool(torch.isfinite(slope).all())


def test_a_product_is_exact_under_autocast() -> None:
    one, other = torch.randn(20, 30), torch.randn(30, 10)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (one @ other).dtype is torch.bfloat16
        torch.testing.assert_close(product(one, other), one @ other, rtol=0.1, atol=0.1, check_dtype=False)
        assert product(one, other).dtype is torch.float32
