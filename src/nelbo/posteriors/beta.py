"""The beta posterior over sticks: reparameterised by its implicit gradient."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.core import Space
from nelbo.distributions.diagonal_beta import DiagonalBeta
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register

LEAST = 0.5  # of both shapes: below, draws within a rounding error of 1 are no longer rare


@register("posterior/beta")
@final
class BetaPosterior(Amortised):
    r"""q(v given x) = prod_d Beta(v_d; a_d(x), b_d(x)) on (0, 1)^D, v = g / (g + h), g and h gamma draws.

    The gradient of g ~ Gamma(a, 1) in a is the implicit one, dg / da = -(dF / da) / f(g), and that of h too. Unlike
    with `kumaraswamy`, the KL to the stick-breaking prior, whose sticks are betas, has a closed form.

    Parameters
    ----------
    network
        Emits [N, 2 D]: raw a, then raw b; each shape is softplus(raw) + 0.5.
    dim
        D, the number of sticks.

    References
    ----------
    Figurnov, Mohamed and Mnih (2018), Implicit reparameterization gradients, arXiv:1805.08498; sticks:
    Nalisnick and Smyth (2017), arXiv:1605.06197.
    """

    space = Space.STICKS

    def __init__(self, network: nn.Module, dim: int) -> None:
        super().__init__("a beta posterior", network, dim, self.outputs(dim))

    def forward(self, x: Tensor, context: Tensor | None = None) -> DiagonalBeta:
        shapes = F.softplus(self.emit(x, context)) + LEAST
        log_a, log_b = shapes.log().chunk(2, -1)
        return DiagonalBeta(log_a, log_b)
