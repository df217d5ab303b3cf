"""One-hot codes in groups, whose draws have the gradient of their relaxation."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.groups import grouped
from nelbo.distributions.location_scale import standard_gumbel


@final
class StraightThroughOneHot(Distribution):
    r"""p(z) = prod over groups of softmax(logits)_k where z has its 1 at k: batch shape [B], event shape [D].

    D holds G groups of n categories, one after the other. A draw has its 1 where logits + g is largest, g standard
    Gumbel: it is exact, and `log_prob` its mass. Its gradient is that of softmax((logits + g) / temperature), which is
    not the gradient of any expectation under the mass: it is biased, the less the lower the temperature and the more
    variable then.

    Parameters
    ----------
    logits [..., G, n]
        Unnormalised log-probabilities of the categories.
    temperature
        Above 0, of the relaxation; it changes no draw and no mass.

    References
    ----------
    Jang, Gu and Poole (2017), Categorical reparameterization with Gumbel-softmax, arXiv:1611.01144, section 2.2.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float) -> None:
        self.logits = logits
        self.temperature = temperature
        super().__init__(logits.shape[:-2], Size((logits.shape[-2] * logits.shape[-1],)), validate_args=False)

    @property
    def log_shares(self) -> Tensor:
        """Logarithms of the probabilities, [..., G, n]."""
        return torch.log_softmax(self.logits, -1)

    @property
    def mean(self) -> Tensor:
        """The probabilities, [..., D]."""
        return torch.softmax(self.logits, -1).flatten(-2)

    @property
    def variance(self) -> Tensor:
        return self.mean * (1 - self.mean)

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        return self.from_noise(torch.randn(shape, dtype=self.logits.dtype, device=self.logits.device))

    def from_noise(self, noise: Tensor) -> Tensor:
        """The draw that standard normal noise [..., D] gives, with g = -log(-log Phi(noise))."""
        perturbed = self.logits + grouped(standard_gumbel(noise), self.logits.shape[-2])
        hard = F.one_hot(perturbed.argmax(-1), perturbed.shape[-1]).to(perturbed.dtype)
        soft = torch.softmax(perturbed / self.temperature, -1)
        return (hard + (soft - soft.detach())).flatten(-2)

    def stopped(self) -> StraightThroughOneHot:
        """The same distribution with its parameters constant."""
        return StraightThroughOneHot(self.logits.detach(), self.temperature)

    def log_prob(self, value: Tensor) -> Tensor:
        """log p(value) of one-hot codes, `[..., D] -> [...]`, nats: a mass, over counting measure."""
        return (grouped(value, self.logits.shape[-2]) * self.log_shares).sum((-2, -1))
