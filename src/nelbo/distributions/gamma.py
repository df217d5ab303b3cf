"""The gamma for every cell, by log mean and log concentration, and draws of it that do not round to zero."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, constraints
from torch.distributions.constraints import Constraint

from nelbo.distributions.log_normal import above_zero

TRIES = 8  # proposals from given noise; each is accepted with probability 0.95 or more, all fail with one of 4e-11
NOISES = 2 * TRIES + 1  # standard normals that a draw from given noise takes


@final
class Gamma(Distribution):
    r"""Mean m, variance m^2 / k, on x > 0; with k = 1 it is the exponential.

        log p(x) = k log(k x / m) - k x / m - lgamma(k) - log x.

    Taken in float64: for a large k the first three terms are large and nearly cancel.

    Parameters
    ----------
    log_mean, log_concentration
        log m and log k; the latter broadcasts, and the batch shape is that of the mean.

    References
    ----------
    McCullagh and Nelder (1989), Generalized linear models, chapter 8.
    """

    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support = constraints.positive
    has_rsample = True

    def __init__(self, log_mean: Tensor, log_concentration: Tensor) -> None:
        self.log_mean = log_mean
        self.log_concentration = log_concentration
        super().__init__(log_mean.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        return self.log_mean.exp()

    @property
    def variance(self) -> Tensor:
        return torch.exp(2 * self.log_mean - self.log_concentration)

    @property
    def mode(self) -> Tensor:
        """m (k - 1) / k where k > 1; else the density falls from 0, and it is the smallest number above 0."""
        return above_zero(self.mean * (1 - torch.exp(-self.log_concentration)))

    def rsample(self, sample_shape: Size | list[int] | tuple[int, ...] = Size()) -> Tensor:
        shape = Size(sample_shape) + self.log_mean.shape
        k = self.log_concentration.expand(shape)
        return above_zero(torch.exp(self.log_mean - k + log_standard_gamma(k)))

    def log_prob(self, value: Tensor) -> Tensor:
        """log density of each cell, nats."""
        log_x, log_k = value.double().log(), self.log_concentration.double()
        k, log_ratio = log_k.exp(), log_x - self.log_mean.double()
        density = k * (log_k + log_ratio - log_ratio.exp()) - torch.lgamma(k) - log_x
        return density.to(self.log_mean.dtype)


def log_standard_gamma(log_concentration: Tensor) -> Tensor:
    """log g for g from Gamma(k, 1), with gradients; g itself would round to 0 for a small k.

    If h is from Gamma(k + 1, 1) and e from the standard exponential, h exp(-e / k) is from Gamma(k, 1)
    (Marsaglia and Tsang 2000, A simple method for generating gamma variables).
    """
    k = log_concentration.exp()
    raised = torch.distributions.Gamma(k + 1, torch.ones_like(k), validate_args=False).rsample()
    exponential = torch.empty_like(k, requires_grad=False).exponential_()
    return raised.log() - exponential / k


def log_standard_gamma_from_noise(log_concentration: Tensor, noise: Tensor) -> Tensor:
    """log g that standard normal noise [..., D NOISES] gives, k [..., D]: law and gradient as above.

    The implicit gradient dh / dk = -(dF / dk) / f is torch's own, at a draw h of ours.

    References
    ----------
    Marsaglia and Tsang (2000), A simple method for generating gamma variables; Figurnov, Mohamed and Mnih (2018),
    Implicit reparameterization gradients, arXiv:1805.08498.
    """
    noise = noise.reshape(*noise.shape[:-1], -1, NOISES)
    k = log_concentration.exp()
    with torch.no_grad():
        raised = _marsaglia_tsang(k + 1, noise[..., 1:])
        slope = torch._standard_gamma_grad((k + 1).expand(raised.shape), raised)
    raised = raised + (k - k.detach()) * slope
    log_g: Tensor = raised.log() + torch.special.log_ndtr(noise[..., 0]) / k
    return log_g


def _marsaglia_tsang(shape: Tensor, noise: Tensor) -> Tensor:
    """The first accepted of `TRIES` proposals, two normals [..., 2 TRIES] each; the last one if none is."""
    d = shape - 1 / 3
    c = (9 * d).rsqrt()
    found = torch.zeros((), dtype=noise.dtype, device=noise.device)
    accepted = torch.zeros((), dtype=torch.bool, device=noise.device)
    for proposal in noise.reshape(*noise.shape[:-1], TRIES, 2).unbind(-2):
        x, height = proposal.unbind(-1)
        root = 1 + c * x
        log_v = 3 * torch.log(root.clamp(min=torch.finfo(root.dtype).eps))
        v = log_v.exp()
        fits = (root > 0) & (torch.special.log_ndtr(height) < 0.5 * x.square() + d * (1 - v + log_v))
        found = torch.where(accepted, found, d * v)
        accepted = accepted | fits
        if bool(accepted.all()):
            break
    return found
