"""Independent binary latents: draws without a gradient, and their mass."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint


@final
class BernoulliCodes(Distribution):
    r"""p(z) = prod_d sigmoid(l_d)^z_d sigmoid(-l_d)^(1 - z_d), z in {0, 1}^D: batch shape [B], event shape [D].

    A draw is a step function of the logits, so that it has no gradient in them (`has_rsample` is False); log p(z) has
    one, which is what score-function estimators need.

    Parameters
    ----------
    logits [..., D]
        Log-odds of z_d = 1; any number is finite.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.boolean
    has_rsample = False

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=False)

    def expand(
        self, batch_shape: Size | list[int] | tuple[int, ...], _instance: Distribution | None = None
    ) -> Distribution:
        return BernoulliCodes(self.logits.expand(*batch_shape, *self.event_shape))

    @property
    def mean(self) -> Tensor:
        """The probabilities of 1, [..., D]."""
        return torch.sigmoid(self.logits)

    @property
    def mode(self) -> Tensor:
        return (self.logits > 0).to(self.logits.dtype)

    @property
    def variance(self) -> Tensor:
        return self.mean * torch.sigmoid(-self.logits)

    def sample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        with torch.no_grad():
            u = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
            return (u < self.mean).to(self.logits.dtype)

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., D] gives: 1 where its logistic, the log-odds of Phi, is below l."""
        logistic: Tensor = torch.special.log_ndtr(noise) - torch.special.log_ndtr(-noise)
        return (logistic < self.logits).to(self.logits.dtype)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) of binary codes, `[..., D] -> [...]`, nats: a mass, over counting measure."""
        # -log(1 + exp(-l)) for a 1 and -log(1 + exp(l)) for a 0, both of which keep their digits.
        log_p: Tensor = F.logsigmoid((2 * value - 1) * self.logits).sum(-1)
        return log_p
