"""The Kumaraswamy posterior over sticks: reparameterised by its inverse CDF."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.core import Posterior, Space, full_precision
from nelbo.distributions.kumaraswamy import Kumaraswamy
from nelbo.networks.mlp import apply
from nelbo.posteriors.sizes import check_outputs
from nelbo.registry import register

LEAST = 1e-3  # of both shapes: below, nearly all mass is within a rounding error of 0 or 1


@register("posterior/kumaraswamy")
@final
class KumaraswamyPosterior(Posterior):
    r"""q(v given x) = prod_d Kumaraswamy(v_d; a_d(x), b_d(x)) on (0, 1)^D, v = (1 - u^(1/b))^(1/a).

    The inverse CDF is the first of the three ways to reparameterise that Kingma and Welling (2013), section 2.4,
    list; the beta has none, which is why the Kumaraswamy stands in for it.

    Parameters
    ----------
    network
        Emits [N, 2 D]: raw a, then raw b; each shape is softplus(raw) + 0.001.
    dim
        D, the number of sticks.

    References
    ----------
    Nalisnick and Smyth (2017), Stick-breaking variational autoencoders, arXiv:1605.06197, section 3.2.
    """

    space = Space.STICKS

    def __init__(self, network: nn.Module, dim: int) -> None:
        super().__init__()
        check_outputs("a Kumaraswamy posterior", network, dim, self.outputs(dim))
        self.network = network
        self.dim = dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Kumaraswamy:
        shapes = F.softplus(full_precision(apply(self.network, x, context))) + LEAST
        log_a, log_b = shapes.log().chunk(2, -1)
        return Kumaraswamy(log_a, log_b)
