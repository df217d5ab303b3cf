"""The stick-breaking prior of Griffiths, Engen and McCloskey."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from nelbo.core import Posterior, Space
from nelbo.distributions.diagonal_beta import DiagonalBeta
from nelbo.errors import ConfigError
from nelbo.priors.fixed import FixedPrior
from nelbo.registry import register


@register("prior/stick-breaking")
@final
class StickBreakingPrior(FixedPrior):
    r"""v_d ~ Beta(1, concentration); the decoder reads the weights pi_d = v_d prod_{j < d} (1 - v_j).

    GEM(concentration), cut after D sticks; what is left of the last one, 1 - sum_d pi_d, is not read. Latents, codes
    and KL are those of the sticks v: the map to weights is one to one, and the KL is the same on both sides of it.

    Parameters
    ----------
    dim
        D, the number of sticks.
    concentration
        Expected number of weights that matter; 5 in the paper.

    References
    ----------
    Nalisnick and Smyth (2017), Stick-breaking variational autoencoders, arXiv:1605.06197, section 2.3.
    """

    space = Space.STICKS

    def __init__(self, dim: int, concentration: float = 5.0) -> None:
        if dim < 1 or not concentration > 0:
            raise ConfigError(
                f"a stick-breaking prior needs 1 stick or more and a concentration above 0, but {dim} and "
                f"{concentration} were given; use e.g. --latent 50 --prior stick-breaking:concentration=5"
            )
        super().__init__(dim)
        self.concentration = concentration

    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> DiagonalBeta:
        return DiagonalBeta(self.zeros, self.zeros + math.log(self.concentration))

    def code(self, z: Tensor) -> Tensor:
        """Weights of the sticks: [..., D] -> [..., D]."""
        left = torch.cumsum(torch.log1p(-z), -1)
        before = torch.cat([torch.zeros_like(left[..., :1]), left[..., :-1]], -1)
        return z * torch.exp(before)
