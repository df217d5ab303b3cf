"""Probabilistic PCA as a model: posterior and evidence exact, weights in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, cast, final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.core import Abilities, Batch, Draw, Group, Model, Sides, Solver, Space, Terms
from nelbo.distributions.kl import rate
from nelbo.distributions.normal import DiagonalNormal, ElementwiseNormal, StandardNormal
from nelbo.errors import CompositionError
from nelbo.models.drawn import drawn_terms
from nelbo.registry import register
from nelbo.solvers.ppca import fit_ppca

__all__ = ["PPCASolver", "ProbabilisticPCA"]

FLOOR = 1e-6  # of the noise variance, relative to the mean variance: data that lie in q dimensions have none


@register("model/ppca")
@final
class ProbabilisticPCA(Model):
    r"""z ~ N(0, I), x given z ~ N(mu + S W z, sigma^2 S^2), S a diagonal of scales: x ~ N(mu, S (W W' + sigma^2 I) S).

    The columns of W are orthogonal, so that p(z given x) = N(M^-1 W' S^-1 (x - mu), sigma^2 M^-1), M = W' W +
    sigma^2 I, has a diagonal covariance; it is what `encode` returns, and the evidence is exact.

    Parameters
    ----------
    dim
        q, the number of latents.
    shape
        Of a row.
    by_column
        Whether columns are scaled to a variance of 1 first, as columns of unlike units should be.

    References
    ----------
    Tipping and Bishop (1999), Probabilistic principal component analysis, eq. 5 to 8.
    """

    abilities = Abilities(
        density=True, reparameterised=True, variance=True, stoppable=True, exact_evidence=True, exact_posterior=True
    )
    scores_mass: ClassVar[bool] = False

    def __init__(self, dim: int, shape: Sequence[int], by_column: bool = True) -> None:
        super().__init__({"z": Group(slice(0, dim), Space.REAL)})
        d = math.prod(shape)
        if not 1 <= dim < d:
            raise CompositionError(
                f"probabilistic PCA of {d} dimensions takes 1 to {d - 1} latents, but {dim} were given; use --latent"
            )
        self.shape, self.by_column = tuple(shape), by_column
        self.mean, self.scale = nn.Parameter(torch.zeros(d)), nn.Parameter(torch.ones(d))
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(d, dim)))
        self.log_noise = nn.Parameter(torch.zeros(()))

    def sides(self) -> Sides:
        return Sides((), (self,), ())

    def prior_of(self, context: Tensor | None = None) -> StandardNormal:
        return StandardNormal(self.latent, self.weight)

    def encode(self, batch: Batch) -> DiagonalNormal:
        precision = self._precision()  # of M, [q]
        t = (batch.inputs.flatten(1) - self.mean) / self.scale
        variance = self.log_noise.exp() / precision
        loc = t @ self.weight / precision
        return DiagonalNormal(loc, variance.log().expand_as(loc))

    def decode(self, z: Tensor, context: Tensor | None = None) -> ElementwiseNormal:
        loc = self.mean + self.scale * (z @ self.weight.T)
        spread = (0.5 * self.log_noise).exp() * self.scale
        return ElementwiseNormal(loc.view(-1, *self.shape), spread.view(self.shape).expand(len(z), *self.shape))

    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        if batch.mask is not None:
            raise CompositionError("probabilistic PCA reads no missing cells; fill them, or leave such rows out")
        x = batch.x.repeat(len(z), *(1,) * (batch.x.dim() - 1))
        cells = self.decode(z.flatten(0, 1)).log_prob(x).view(*z.shape[:2], *batch.x.shape[1:])
        if batch.log_jacobian is not None:
            cells = cells + batch.log_jacobian
        return cells.flatten(2).sum(2)

    def mode(self, px: Distribution) -> Tensor:
        return px.mean

    def terms(self, batch: Batch, samples: int = 1, draw: Draw = Draw.PATHWISE, analytic: bool = False) -> Terms:
        if not analytic:
            return drawn_terms(self, batch, samples, draw)
        q, p = self.encode(batch), self.prior_of()
        z = q.rsample(torch.Size((samples,)))
        closed_form = cast("Tensor", rate(q, p))
        return Terms(z, self.log_px(z, batch), q, kl=closed_form.unsqueeze(1), p=p)

    def rates(self, q: Distribution, context: Tensor | None = None) -> Mapping[str, Tensor]:
        return {"z": cast("Tensor", rate(q, self.prior_of(context)))}

    def evidence(self, batch: Batch) -> Tensor:
        """log N(x; mu, C), [B], with abs(r)^2 / sigma^2 + abs(m)^2 for the quadratic form (`solvers.ppca`)."""
        d, q = self.weight.shape
        t = (batch.x.flatten(1) - self.mean) / self.scale
        m = t @ self.weight / self._precision()
        residual = t - m @ self.weight.T
        quadratic = residual.square().sum(1) / self.log_noise.exp() + m.square().sum(1)
        log_det = (d - q) * self.log_noise + self._precision().log().sum() + 2 * self.scale.log().sum()
        log_px = -0.5 * (d * math.log(2 * math.pi) + log_det + quadratic)
        if batch.log_jacobian is not None:
            log_px = log_px + batch.log_jacobian.expand_as(batch.x).flatten(1).sum(1)
        return log_px

    def _precision(self) -> Tensor:
        """The diagonal of M = W' W + sigma^2 I, whose columns are orthogonal, [q]."""
        return self.weight.square().sum(0) + self.log_noise.exp()


@register("solver/ppca")
@final
class PPCASolver(Solver):
    """Maximum likelihood for probabilistic PCA, by an eigendecomposition; Tipping and Bishop (1999), eq. 7 and 8."""

    def fit(self, model: Model, rows: Callable[[], Iterable[Batch]], progress: Callable[[float], None]) -> None:
        if not isinstance(model, ProbabilisticPCA):
            raise CompositionError("the solver ppca fits the model ppca; use --recipe ppca")
        x = torch.cat([batch.x.flatten(1) for batch in rows()]).double()
        progress(0.3)
        spread = x.std(0, correction=0)
        typical = spread.square().mean().sqrt()
        # A constant column has no scale of its own.
        scale = torch.where(spread > 1e-6 * typical, spread, typical) if model.by_column else torch.ones_like(spread)
        floor = FLOOR * float((x / scale).var(0, correction=0).mean()) or FLOOR
        found = fit_ppca(x / scale, model.latent, variance_floor=floor)
        with torch.no_grad():
            model.mean.copy_(found.mean * scale)
            model.scale.copy_(scale)
            model.weight.copy_(found.weight)
            model.log_noise.fill_(math.log(found.noise_variance))
        progress(1.0)
