"""Maps of flows whose parameters a network emits for every row: planar maps and Householder reflections."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from nelbo.distributions.flows import Bijection

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
            reach = self._strength.abs() + torch.zeros_like(target)
            low, high = target - reach, target + reach
            for _ in range(HALVINGS):
                y = 0.5 * (low + high)
                beyond = y + self._strength * torch.tanh(y) > target
                low, high = torch.where(beyond, low, y), torch.where(beyond, y, high)
            y = 0.5 * (low + high)
            slope = 1 + self._strength * (1 - torch.tanh(y).square())
        return y - (y + self._strength * torch.tanh(y) - target) / slope


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
