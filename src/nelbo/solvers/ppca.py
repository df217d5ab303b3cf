"""Probabilistic PCA in closed form: the exact optimum of the linear Gaussian variational autoencoder.

The model is z ~ N(0, I), x given z ~ N(W z + mu, sigma^2 I), hence x ~ N(mu, C) with C = W W' + sigma^2 I.

References
----------
Tipping, Bishop: Probabilistic principal component analysis. Journal of the Royal Statistical Society B, 1999.
Lucas, Tucker, Grosse, Norouzi: Don't blame the ELBO! A linear VAE perspective on posterior collapse. NeurIPS 2019.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nelbo.errors import CompositionError, ConfigError, DataError
from nelbo.solvers.rows import row_chunks, row_mean


@final
@dataclass(frozen=True, eq=False)
class PPCA:
    """A fitted probabilistic PCA of D dimensions and q latents, in float64.

    The columns of `weight` are orthogonal and in order of falling variance, so that the posterior covariance is
    diagonal: a diagonal-Gaussian posterior can be exact, and the evidence lower bound of a linear VAE with
    these parameters equals the evidence. Rows are given as `[N, D]` or `[N, *event]` in the units fitted.
    """

    mean: Tensor  # [D]  mu
    weight: Tensor  # [D, q]  W
    noise_variance: float  # sigma^2

    @property
    def posterior_covariance(self) -> Tensor:
        """sigma^2 M^-1 with M = W'W + sigma^2 I, the same for every x, shape [q, q]."""
        return self.noise_variance * torch.cholesky_inverse(self._precision_factor())

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """p(z given x) = N(M^-1 W'(x - mu), sigma^2 M^-1): the means [N, q] and the common covariance [q, q].

        Source: Tipping & Bishop (1999), equation 6.
        """
        means = [self._posterior_mean(rows - self.mean) for rows in row_chunks(x)]
        return torch.cat(means), self.posterior_covariance

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log N(x; mu, C) of every row in nats, shape [N], at a cost of O(N D q).

        With r the residual of x at its posterior mean m, and M = W'W + sigma^2 I::

            (x - mu)' C^-1 (x - mu) = |r|^2 / sigma^2 + |m|^2,    log det C = (D - q) log sigma^2 + log det M

        The left sum has no cancelling terms, unlike the usual form of the Woodbury identity.
        """
        d, q = self.weight.shape
        log_det = (d - q) * math.log(self.noise_variance) + 2.0 * self._precision_factor().diagonal().log().sum()
        constant = -0.5 * (d * math.log(2.0 * math.pi) + log_det)
        return torch.cat([constant - 0.5 * self._squared_distance(rows - self.mean) for rows in row_chunks(x)])

    def reconstruct(self, x: Tensor) -> Tensor:
        """The mean of x given z at the posterior mean of z, W M^-1 W'(x - mu) + mu, in the shape of `x`.

        This is what a linear VAE shows as its reconstruction. It shrinks towards the mean; the projection onto
        the principal axes (Tipping & Bishop 1999, section 3.3) does not.
        """
        rows = [self._posterior_mean(rows - self.mean) @ self.weight.T + self.mean for rows in row_chunks(x)]
        return torch.cat(rows).reshape(x.shape)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """`n` draws of x, noise included, shape [n, D]."""
        d, q = self.weight.shape
        z = torch.randn(n, q, generator=generator, dtype=torch.float64)
        noise = torch.randn(n, d, generator=generator, dtype=torch.float64)
        return z @ self.weight.T + self.mean + math.sqrt(self.noise_variance) * noise

    def _precision_factor(self) -> Tensor:
        q = self.weight.shape[1]
        identity = torch.eye(q, dtype=torch.float64)
        factor: Tensor = torch.linalg.cholesky(self.weight.T @ self.weight + self.noise_variance * identity)
        return factor

    def _posterior_mean(self, centred: Tensor) -> Tensor:
        return torch.cholesky_solve((centred @ self.weight).T, self._precision_factor()).T

    def _squared_distance(self, centred: Tensor) -> Tensor:
        z = self._posterior_mean(centred)
        residual = centred - z @ self.weight.T
        return residual.square().sum(1) / self.noise_variance + z.square().sum(1)


def fit_ppca(x: Tensor, q: int, *, variance_floor: float = 0.0) -> PPCA:
    """The maximum-likelihood probabilistic PCA of the rows of `x`.

    With lambda_1 >= ... >= lambda_D the eigenvalues and U the eigenvectors of the covariance (divided by N, not by
    N - 1: the maximum of the likelihood)::

        sigma^2 = mean(lambda_{q+1}, ..., lambda_D),    W = U_q (Lambda_q - sigma^2 I)^(1/2)

    which is Tipping & Bishop (1999), equations 7 and 8, with the free rotation R = I.

    Parameters
    ----------
    x
        The data, `[N, D]` or `[N, *event]`, of any number type; computed in float64.
    q
        The number of latents, 0 <= q < D; q = D - 1 is the Gaussian of full covariance, q = 0 the isotropic one.
    variance_floor
        sigma^2 is at least this, and W is then the best for that sigma^2. Data that lie in q dimensions (or
        fewer: a single row, constant columns) have sigma^2 = 0, and so no density without a floor above 0.

    Raises
    ------
    CompositionError
        If q is not below D.
    ConfigError
        If q or the floor is negative.
    DataError
        If there are no rows, a value is not finite, or sigma^2 is zero and so is the floor.
    """
    _check(x, q, variance_floor)
    d = x[0].numel()
    mean = row_mean(x)
    eigenvalues, axes = _from_rows(x, mean) if len(x) < d else _from_covariance(x, mean)
    discarded = float(eigenvalues[q:].sum()) / (d - q)  # those that are not listed are zero
    if discarded <= d * torch.finfo(torch.float64).eps * float(eigenvalues[0]):
        discarded = 0.0  # what is left is rounding
    noise_variance = max(discarded, variance_floor)
    if noise_variance == 0.0:
        raise DataError(
            f"probabilistic PCA with {q} latents leaves no noise: the {len(x)} rows vary in at most {q} of {d} "
            f"dimensions, so their density is infinite; use fewer latents or a variance_floor above 0"
        )
    stretch = (eigenvalues[:q] - noise_variance).clamp_min(0.0).sqrt()
    weight = torch.zeros(d, q, dtype=torch.float64)
    weight[:, : len(stretch)] = axes[:, :q] * stretch
    return PPCA(mean, weight, noise_variance)


def _check(x: Tensor, q: int, variance_floor: float) -> None:
    if q < 0:
        raise ConfigError(f"the number of latents is {q}; use 0 or more")
    if not variance_floor >= 0.0:
        raise ConfigError(f"the variance floor is {variance_floor}; use 0 or more")
    if x.dim() < 2 or len(x) == 0:
        raise DataError(f"probabilistic PCA needs rows, but the data has shape {list(x.shape)}; pass [rows, columns]")
    d = x[0].numel()
    if q >= d:
        raise CompositionError(
            f"probabilistic PCA of {d} dimensions takes at most {d - 1} latents (a full covariance), not {q}; "
            f"use a smaller latent size"
        )
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        raise DataError("probabilistic PCA needs finite data, but some values are NaN or infinite; remove those rows")


def _from_covariance(x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues [D], falling, and eigenvectors [D, D] of the covariance."""
    covariance = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for rows in row_chunks(x):
        centred = rows - mean
        covariance.addmm_(centred.T, centred, alpha=1.0 / len(x))
    eigenvalues, axes = torch.linalg.eigh(covariance)
    return eigenvalues.flip(0).clamp_min(0.0), axes.flip(1)


def _from_rows(x: Tensor, mean: Tensor) -> tuple[Tensor, Tensor]:
    """The N eigenvalues that can differ from zero, falling, and their vectors [D, N], without a D x D matrix."""
    centred = torch.cat(list(row_chunks(x))) - mean
    _, singular, axes = torch.linalg.svd(centred, full_matrices=False)
    return singular.square() / len(x), axes.T
