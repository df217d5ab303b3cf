"""Linear Gaussian models, whose evidence, posterior and bound are known in closed form.

z ~ N(0, I), x given z ~ N(W z + mu, s^2 I), q(z given x) = N(A x + a, diag(exp(v(x)))). The formulas here are written
from the definitions, in NumPy, SciPy and plain torch; they use nothing of the library but the model's parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import multivariate_normal
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from nelbo.likelihoods import GaussianLikelihood
from nelbo.likelihoods.dispersion import Learned
from nelbo.models import LatentVariableModel
from nelbo.networks import Linear
from nelbo.posteriors import GaussianPosterior
from nelbo.priors import StandardNormalPrior

FLOOR = -14.0


@final
@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """A model of linear parts in float64, and what is known of it at the rows `x` [B, D]."""

    model: LatentVariableModel
    x: Tensor

    @property
    def encoder(self) -> torch.nn.Linear:
        return self.model.get_submodule("posterior.network.layer")  # type: ignore[return-value]

    @property
    def decoder(self) -> torch.nn.Linear:
        return self.model.get_submodule("likelihood.network.layer")  # type: ignore[return-value]

    def variance(self) -> Tensor:
        """s^2, from the parameter: log s^2 = floor + log(1 + exp(raw - floor))."""
        raw = learned_variance(self.model)()
        return torch.exp(FLOOR + F.softplus(raw - FLOOR))

    def q(self) -> tuple[Tensor, Tensor]:
        """Means and variances of q(z given x), [B, q] each."""
        loc, raw = (self.x @ self.encoder.weight.T + self.encoder.bias).chunk(2, -1)
        return loc, torch.exp(FLOOR + F.softplus(raw - FLOOR))

    def evidence(self) -> Tensor:
        """log N(x; mu, W W' + s^2 I) by SciPy, [B]."""
        weight, mean = self.decoder.weight.detach().numpy(), self.decoder.bias.detach().numpy()
        covariance = weight @ weight.T + float(self.variance().detach()) * np.eye(len(mean))
        return torch.from_numpy(np.atleast_1d(multivariate_normal(mean, covariance).logpdf(self.x.numpy())))

    def posterior(self) -> MultivariateNormal:
        """p(z given x), batch [B]."""
        weight, mean, variance = self.decoder.weight.detach(), self.decoder.bias.detach(), self.variance().detach()
        precision = torch.eye(weight.shape[1], dtype=weight.dtype) + weight.T @ weight / variance
        covariance = torch.linalg.inv(precision)
        return MultivariateNormal((self.x - mean) @ weight @ covariance / variance, covariance)

    def gap(self) -> Tensor:
        """KL(q(z given x) || p(z given x)), [B]."""
        loc, variance = (value.detach() for value in self.q())
        return kl_divergence(MultivariateNormal(loc, torch.diag_embed(variance)), self.posterior())

    def elbo(self) -> Tensor:
        """E_q[log p(x given z)] - KL(q || p), [B], differentiable in every parameter."""
        loc, variance = self.q()
        weight, s2 = self.decoder.weight, self.variance()
        squares = (self.x - loc @ weight.T - self.decoder.bias).square().sum(-1)
        spread = (variance * weight.square().sum(0)).sum(-1)  # tr(W diag(v) W')
        log_px = -0.5 * (self.x.shape[1] * torch.log(2 * math.pi * s2) + (squares + spread) / s2)
        kl = 0.5 * (variance + loc.square() - 1 - variance.log()).sum(-1)
        return log_px - kl

    def log_weights(self, z: Tensor) -> Tensor:
        """log p(x given z) + log p(z) - log q(z given x) of draws [K, B, q], differentiable in all."""
        loc, variance = self.q()
        s2 = self.variance()
        squares = (self.x - z @ self.decoder.weight.T - self.decoder.bias).square().sum(-1)
        log_px = -0.5 * (self.x.shape[1] * torch.log(2 * math.pi * s2) + squares / s2)
        return log_px + 0.5 * ((z - loc).square() / variance + variance.log() - z.square()).sum(-1)

    def expected(self, bound: Callable[[Tensor], Tensor], draws: int, nodes: int = 24) -> Tensor:
        """E[bound(log w_1, ..., log w_K)], [B], over K draws of a single latent: Gauss and Hermite's product rule."""
        points, masses = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(nodes))
        noise = torch.cartesian_prod(*[points] * draws).view(-1, draws)
        mass = torch.cartesian_prod(*[masses / masses.sum()] * draws).view(-1, draws).prod(1)
        loc, variance = self.q()
        total = torch.zeros(len(self.x), dtype=torch.float64)
        for row in range(len(self.x)):
            z = loc[row] + variance[row].sqrt() * noise.T.unsqueeze(-1)  # [K, nodes^K, 1]
            one = LinearGaussian(self.model, self.x[row : row + 1])
            total = total + (mass * bound(one.log_weights(z))).sum() * torch.eye(len(self.x), dtype=torch.float64)[row]
        return total


def linear_model(dims: int, latent: int) -> LatentVariableModel:
    """Linear networks, one shared variance, in float64; weights as the constructors leave them."""
    return LatentVariableModel(
        StandardNormalPrior(latent),
        GaussianPosterior(Linear(dims, 2 * latent), latent, FLOOR),
        GaussianLikelihood(Linear(latent, dims), (dims,), sigma="shared", min_log_variance=FLOOR),
    ).double()


def learned_variance(model: LatentVariableModel) -> Learned:
    return model.get_submodule("likelihood.raw_log_variance")  # type: ignore[return-value]


def random_linear_gaussian(seed: int, dims: int = 6, latent: int = 2, rows: int = 5) -> LinearGaussian:
    """Random parameters and random rows; q is not the posterior."""
    generator = torch.Generator().manual_seed(seed)
    model = linear_model(dims, latent)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    learned_variance(model).set(0.5 * torch.randn((), generator=generator, dtype=torch.float64))
    return LinearGaussian(model, torch.randn(rows, dims, generator=generator, dtype=torch.float64))


def near_the_posterior(seed: int, dims: int = 3, rows: int = 3) -> LinearGaussian:
    """One latent, random parameters, and a q that is off the posterior by a little: weights with small tails."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(dims, 1, generator=generator, dtype=torch.float64)
    mean = torch.randn(dims, generator=generator, dtype=torch.float64)
    x = torch.randn(rows, dims, generator=generator, dtype=torch.float64)
    case = at_the_optimum(x, mean, weight, 1.0)
    with torch.no_grad():
        # q is a little too narrow than too wide at random, and off by a part of its width.
        for parameter in (case.encoder.weight, case.encoder.bias):
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return case


def at_the_optimum(x: Tensor, mean: Tensor, weight: Tensor, variance: float) -> LinearGaussian:
    """The linear model whose q is its exact posterior; the columns of `weight` must be orthogonal."""
    dims, latent = weight.shape
    case = LinearGaussian(linear_model(dims, latent), x)
    norms = weight.square().sum(0)
    loc = weight.T / (norms + variance).unsqueeze(1)
    with torch.no_grad():
        case.decoder.weight.copy_(weight)
        case.decoder.bias.copy_(mean)
        case.encoder.weight.copy_(torch.cat([loc, torch.zeros_like(loc)]))
        case.encoder.bias.copy_(torch.cat([-loc @ mean, _raw(torch.log(variance / (norms + variance)))]))
        raw = _raw(torch.tensor(math.log(variance), dtype=torch.float64))
        learned_variance(case.model).set(raw)
    return case


def _raw(log_variance: Tensor) -> Tensor:
    """Solves log_variance = floor + log(1 + exp(raw - floor))."""
    return FLOOR + torch.log(torch.expm1(log_variance - FLOOR))
