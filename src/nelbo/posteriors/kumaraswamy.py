"""The Kumaraswamy posterior over sticks: reparameterised by its inverse CDF."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.core import Space
from nelbo.distributions.kumaraswamy import Kumaraswamy
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register

START = (math.log(math.expm1(1.0)), math.log(math.expm1(5.0)))  # raw shapes of Kumaraswamy(1, 5) = Beta(1, 5)
LEAST = 1e-3  # of both shapes: below, nearly all mass is within a rounding error of 0 or 1


@register("posterior/kumaraswamy")
@final
class KumaraswamyPosterior(Amortised):
    r"""q(v given x) = prod_d Kumaraswamy(v_d; a_d(x), b_d(x)) on (0, 1)^D, v = (1 - u^(1/b))^(1/a).

    The inverse CDF is the first of the three ways to reparameterise that Kingma and Welling (2013), section 2.4,
    list; the beta has none, which is why the Kumaraswamy stands in for it.

    Parameters
    ----------
    network
        Emits [N, 2 D]: raw a, then raw b. The shapes are softplus(raw + start) + 0.001, so that outputs of 0 give the
        sticks of a stick-breaking prior of concentration 5: were they halves, the weight of the twentieth stick would
        be a millionth, and it would never be used.
    dim
        D, the number of sticks.

    References
    ----------
    Nalisnick and Smyth (2017), Stick-breaking variational autoencoders, arXiv:1605.06197, section 3.2.
    """

    space = Space.STICKS

    def __init__(self, network: nn.Module, dim: int) -> None:
        super().__init__("a Kumaraswamy posterior", network, dim, self.outputs(dim))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Kumaraswamy:
        raw = self.emit(x, context).chunk(2, -1)
        log_a, log_b = (torch.log(F.softplus(each + start) + LEAST) for each, start in zip(raw, START, strict=True))
        return Kumaraswamy(log_a, log_b)
