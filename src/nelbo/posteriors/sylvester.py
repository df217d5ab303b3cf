"""The Householder-Sylvester flow posterior."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.arguments import Count
from nelbo.distributions.bijections import MARGIN, Householder, Triangular
from nelbo.distributions.flows import Bijection
from nelbo.errors import ConfigError
from nelbo.posteriors.emitted_flow import EmittedFlow
from nelbo.registry import register


@register("posterior/sylvester")
@final
class SylvesterPosterior(EmittedFlow):
    r"""e ~ N(mu(x), diag(sigma^2(x))), then `steps` times e <- e + Q R tanh(S Q'e + b), all of x.

    A planar map through D directions at once: Q is a product of Householder reflections, R and S are upper triangular,
    their diagonals hyperbolic tangents, so that R_dd S_dd > -1. By Sylvester's identity the determinant is that of
    I + diag(tanh') S R, a product over d. A draw and its log density cost O(D^2) a step; the density of a z from
    elsewhere needs D roots of functions of one variable a step.

    Parameters
    ----------
    network
        Emits [N, 2 D + steps (reflections D + D (D + 2))]: means, log-variances, then of each map the vectors of Q's
        reflections, b, the diagonals of R and S before the tangent, and R and S above them, row by row.
    dim
        D.
    steps
        Number of maps.
    reflections
        Factors of each Q; D of them give any rotation.
    min_log_variance
        Smooth lower bound of the log-variances of the base.

    References
    ----------
    van den Berg, Hasenclever, Tomczak and Welling (2018), Sylvester normalizing flows for variational inference,
    arXiv:1803.05649, section 3 (H-SNF).
    """

    def __init__(
        self, network: nn.Module, dim: int, steps: Count = 4, reflections: Count = 4, min_log_variance: float = -14.0
    ) -> None:
        super().__init__(
            "a Sylvester posterior", network, dim, steps, self.outputs(dim, steps, reflections), min_log_variance
        )
        self.reflections = reflections
        self.register_buffer("above", torch.triu_indices(dim, dim, 1), persistent=False)

    above: Tensor

    @classmethod
    def outputs(cls, dim: int, steps: int = 4, reflections: int = 4) -> int:
        if steps < 1 or reflections < 1:
            raise ConfigError(
                f"a Sylvester flow needs 1 step and 1 reflection or more, but {steps} and {reflections} were given; "
                "use e.g. --posterior sylvester:steps=4,reflections=4"
            )
        return 2 * dim + steps * (reflections * dim + dim * (dim + 2))

    def maps(self, step: Tensor) -> list[Bijection]:
        """Q', the triangular map, Q."""
        dim, over = self.dim, self.above.shape[1]
        sizes = [dim] * (self.reflections + 3) + [over, over]
        *vectors, offset, outer_diagonal, inner_diagonal, outer, inner = torch.split(step, sizes, -1)
        turns: list[Bijection] = [Householder(v) for v in vectors]
        triangular = Triangular(self._upper(outer_diagonal, outer), self._upper(inner_diagonal, inner), offset)
        return [*turns, triangular, *reversed(turns)]

    def _upper(self, diagonal: Tensor, over: Tensor) -> Tensor:
        matrix = torch.diag_embed((1 - MARGIN) * torch.tanh(diagonal))
        matrix[..., self.above[0], self.above[1]] = over
        return matrix
