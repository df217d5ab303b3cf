"""Maps of flows whose parameters a network emits for every row: planar, radial and triangular maps, reflections."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from nelbo.distributions.flows import Bijection
from nelbo.distributions.special import times

MARGIN = 1e-3  # w'u stays above -1 + MARGIN, so that a planar map has an inverse that rounding cannot take away
HALVINGS = 60


@final
class Planar(Bijection):
    r"""T(e) = e + v tanh(w'e + b), log abs(det) = log(1 + w'v (1 - tanh(w'e + b)^2)).

    v = u + (m(w'u) - w'u) w / |w|^2 with m(x) = -1 + `MARGIN` + softplus(x), so that w'v > -1 and T is one to one. The
    inverse follows from one number, y = w'e + b, the root of the increasing function y + w'v tanh(y) = w'z + b.

    Parameters
    ----------
    u, w [..., D]
        The two directions.
    b [...]
        The offset.

    References
    ----------
    Rezende and Mohamed (2015), Variational inference with normalizing flows, arXiv:1505.05770, eq. 10-12 and
    appendix A.1.
    """

    def __init__(self, u: Tensor, w: Tensor, b: Tensor) -> None:
        self.u = u
        self.w = w
        self.b = b
        inner = (w * u).sum(-1)
        self._strength = F.softplus(inner) - 1 + MARGIN  # w'v
        squared = w.square().sum(-1).clamp(min=torch.finfo(w.dtype).tiny)
        self._v = u + ((self._strength - inner) / squared).unsqueeze(-1) * w

    def call_and_ladj(self, e: Tensor) -> tuple[Tensor, Tensor]:
        bent = torch.tanh((self.w * e).sum(-1) + self.b)
        return e + self._v * bent.unsqueeze(-1), self._log_det(bent)

    def invert_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        bent = torch.tanh(self._root((self.w * z).sum(-1) + self.b))
        return z - self._v * bent.unsqueeze(-1), -self._log_det(bent)

    def stopped(self) -> Planar:
        return Planar(self.u.detach(), self.w.detach(), self.b.detach())

    def _log_det(self, bent: Tensor) -> Tensor:
        return torch.log1p(self._strength * (1 - bent.square()))

    def _root(self, target: Tensor) -> Tensor:
        """y with y + w'v tanh(y) = target, found by halving; its gradient is that of one Newton step from there."""
        with torch.no_grad():
            y = _halved(target, self._strength, torch.ones_like(target), torch.zeros_like(target))
            slope = 1 + self._strength * (1 - torch.tanh(y).square())
        return y - (y + self._strength * torch.tanh(y) - target) / slope


@final
class Radial(Bijection):
    r"""T(e) = c + (e - c) (r + s) / (r + a), r = |e - c|: space pulled towards c or pushed away from it.

    It is e + beta h (e - c) with h = 1 / (a + r) and beta = s - a. Both a and s are above 0, which makes T one to one,
    and

        log abs(det) = (D - 1) log((r + s) / (r + a)) + log((r^2 + 2 a r + a s) / (r + a)^2),

    where no term cancels. The inverse solves r (r + s) / (r + a) = |z - c|, a quadratic equation.

    Parameters
    ----------
    centre [..., D]
        c.
    log_reach, log_slope [...]
        log a, how far from the centre the map acts, and log s; s / a is its slope at the centre.

    References
    ----------
    Rezende and Mohamed (2015), Variational inference with normalizing flows, arXiv:1505.05770, eq. 14 and
    appendix A.2.
    """

    def __init__(self, centre: Tensor, log_reach: Tensor, log_slope: Tensor) -> None:
        self.centre = centre
        self.log_reach = log_reach
        self.log_slope = log_slope
        self._a, self._s = log_reach.exp(), log_slope.exp()

    def call_and_ladj(self, e: Tensor) -> tuple[Tensor, Tensor]:
        away = e - self.centre
        r = torch.linalg.vector_norm(away, dim=-1)
        factor = (r + self._s) / (r + self._a)
        return self.centre + away * factor.unsqueeze(-1), self._log_det(r, e.shape[-1])

    def invert_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        away = z - self.centre
        far = torch.linalg.vector_norm(away, dim=-1)
        # r^2 + b r - a far = 0; of the two forms of its root above 0 the one without a difference.
        b = self._s - far
        root = torch.sqrt(b.square() + 4 * self._a * far)
        above = b > 0
        r = torch.where(above, 2 * self._a * far / torch.where(above, b + root, 1.0), 0.5 * (root - b))
        factor = (r + self._a) / (r + self._s)
        return self.centre + away * factor.unsqueeze(-1), -self._log_det(r, z.shape[-1])

    def stopped(self) -> Radial:
        return Radial(self.centre.detach(), self.log_reach.detach(), self.log_slope.detach())

    def _log_det(self, r: Tensor, dim: int) -> Tensor:
        a, s = self._a, self._s
        return (dim - 1) * torch.log(r + s) + torch.log(r * (r + 2 * a) + a * s) - (dim + 1) * torch.log(r + a)


@final
class Triangular(Bijection):
    r"""T(e) = e + R tanh(S e + b), R and S upper triangular: log abs(det) = sum_d log(1 + R_dd S_dd tanh'_d).

    T is one to one where R_dd S_dd > -1. The inverse goes from the last dimension to the first, where each is the root
    of an increasing function of one variable.

    Parameters
    ----------
    outer, inner [..., D, D]
        R and S; what stands below their diagonals is not read.
    offset [..., D]
        b.

    References
    ----------
    van den Berg et al. (2018), Sylvester normalizing flows for variational inference, arXiv:1803.05649, section 3.
    """

    def __init__(self, outer: Tensor, inner: Tensor, offset: Tensor) -> None:
        self.outer = outer.triu()
        self.inner = inner.triu()
        self.offset = offset
        self._strength = torch.diagonal(outer, dim1=-2, dim2=-1) * torch.diagonal(inner, dim1=-2, dim2=-1)

    def call_and_ladj(self, e: Tensor) -> tuple[Tensor, Tensor]:
        bent = torch.tanh(times(self.inner, e) + self.offset)
        return e + times(self.outer, bent), self._log_det(bent)

    def invert_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        e = self._root(z)
        bent = torch.tanh(times(self.inner, e) + self.offset)
        return e, -self._log_det(bent)

    def stopped(self) -> Triangular:
        return Triangular(self.outer.detach(), self.inner.detach(), self.offset.detach())

    def _log_det(self, bent: Tensor) -> Tensor:
        return torch.log1p(self._strength * (1 - bent.square())).sum(-1)

    def _root(self, z: Tensor) -> Tensor:
        """e with T(e) = z, found by halving; its gradient is that of one Newton step from there."""
        dim = z.shape[-1]
        with torch.no_grad():
            e, bent = torch.zeros_like(z), torch.zeros_like(z)
            for d in reversed(range(dim)):
                # Dimensions from d on are not known yet, and hold 0.
                target = z[..., d] - (self.outer[..., d, :] * bent).sum(-1)
                shift = self.offset[..., d] + (self.inner[..., d, :] * e).sum(-1)
                e[..., d] = _halved(target, self.outer[..., d, d], self.inner[..., d, d], shift)
                bent[..., d] = torch.tanh(self.inner[..., d, d] * e[..., d] + shift)
            slopes = (1 - bent.square()).unsqueeze(-1) * self.inner
            jacobian = torch.eye(dim, dtype=z.dtype, device=z.device) + self.outer @ slopes
        gap = self.call_and_ladj(e)[0] - z
        step: Tensor = torch.linalg.solve_triangular(jacobian, gap.unsqueeze(-1), upper=True)
        return e - step.squeeze(-1)


@final
class Householder(Bijection):
    """T(e) = e - 2 v v'e / |v|^2, the reflection at the plane orthogonal to v, [..., D]; it keeps volumes.

    References
    ----------
    Tomczak and Welling (2016), Improving variational auto-encoders using Householder flow, arXiv:1611.09630.
    """

    def __init__(self, v: Tensor) -> None:
        self.v = v
        self._direction = F.normalize(v, dim=-1)

    def call_and_ladj(self, e: Tensor) -> tuple[Tensor, Tensor]:
        along = (self._direction * e).sum(-1, keepdim=True)
        return e - 2 * along * self._direction, torch.zeros_like(along[..., 0])

    def invert_and_ladj(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.call_and_ladj(z)

    def stopped(self) -> Householder:
        return Householder(self.v.detach())


def _halved(target: Tensor, outer: Tensor, inner: Tensor, shift: Tensor) -> Tensor:
    """y with y + outer tanh(inner y + shift) = target, where the left side increases in y."""
    reach = outer.abs() + torch.zeros_like(target)
    low, high = target - reach, target + reach
    for _ in range(HALVINGS):
        y = 0.5 * (low + high)
        beyond = y + outer * torch.tanh(inner * y + shift) > target
        low, high = torch.where(beyond, low, y), torch.where(beyond, y, high)
    return 0.5 * (low + high)
