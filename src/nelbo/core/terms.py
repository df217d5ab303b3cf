"""What a model says about a batch, and the one place where that is reduced to a loss and a bound."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

import torch
from torch import Tensor
from torch.distributions import Distribution

__all__ = ["Draw", "Loss", "Terms"]


class Draw(Enum):
    """How z is drawn, and with it what the gradient of log q(z given x) means."""

    PATHWISE = "pathwise"  # reparameterised: gradients flow through z
    STOPPED = "stopped"  # reparameterised, but q's parameters are constants inside log q (DReG, STL)
    SCORE = "score"  # z is a constant; gradients flow through log q only


@dataclass(frozen=True, eq=False)
class Loss:
    """What one step minimises, and what it honestly measured."""

    loss: Tensor  # scalar to minimise, nats per datum
    bound: Tensor | None  # [B] detached, at beta = 1; None where the objective is not a bound
    parts: Mapping[str, Tensor]  # [B] or [], attached; their means sum to loss
    figures: Mapping[str, Tensor] = field(default_factory=dict)  # [B] or [], detached: without weights, to be read


@dataclass(frozen=True, eq=False)
class Terms:
    """What a model says about a batch: K draws by B data, event dimensions summed, in nats.

    Either `kl` is filled (closed form) or `log_pz` and `log_qz` are, never both: nothing is computed that the objective
    does not read. Draws that are not of equal weight (labels that are enumerated, nodes of a quadrature) have their
    sample weights r in `log_r`, sum_k r_k = 1; what q gives to that which was enumerated stands in `log_qy`, apart from
    the density of what was drawn, since a score function must not count it twice.
    """

    z: Tensor  # [K, B, D]
    log_px: Tensor  # [K, B]
    q: Distribution
    log_pz: Tensor | None = None  # [K, B]  None where there is no density
    log_qz: Tensor | None = None  # [K, B]
    kl: Tensor | None = None  # [G, K or 1, B]  closed form (in part, if K), per latent dimension, group or layer
    log_r: Tensor | None = None  # [K, B]  log sample weights, attached; default -log K
    log_qy: Tensor | None = None  # [K, B]  log q of what was enumerated
    penalties: Mapping[str, Tensor] = field(default_factory=dict)  # in the loss, never in the bound
    shared: Tensor | None = None  # []  KL of what all rows share (weights with a posterior), over N: in loss and bound
    p: Distribution | None = None  # the prior, for what compares draws of it with codes

    @property
    def log_weights(self) -> Tensor:
        """log w = log p(x given z) + log p(z) - log q(z given x), shape [K, B].

        Raises
        ------
        ValueError
            If the densities were not asked for (`analytic=True`) or do not exist.
        """
        return self.log_px + self.log_pz_given - self.log_qz_given

    @property
    def log_pz_given(self) -> Tensor:
        """log p(z) of the draws, [K, B]; refused where it is not there."""
        if self.log_pz is None:
            raise ValueError("these terms hold no densities: ask the model for terms(..., analytic=False)")
        return self.log_pz

    @property
    def log_qz_given(self) -> Tensor:
        """log q(z given x) of the draws and of what was enumerated, [K, B]; refused where it is not there."""
        if self.log_qz is None:
            raise ValueError("these terms hold no densities: ask the model for terms(..., analytic=False)")
        return self.log_qz if self.log_qy is None else self.log_qz + self.log_qy

    def mean(self, values: Tensor) -> Tensor:
        """The mean over draws under their sample weights, `[K, B] -> [B]`; a single draw costs nothing."""
        if self.log_r is not None:
            return (self.log_r.exp() * values).sum(0)
        return values.squeeze(0) if values.shape[0] == 1 else values.mean(0)

    def weighted_as_constants(self) -> Terms:
        """The same with sample weights that have no gradient: for objectives that fit q by itself."""
        return self if self.log_r is None else replace(self, log_r=self.log_r.detach())

    @property
    def has_rate(self) -> bool:
        """Whether there is a KL: not where q or p has no density."""
        return self.kl is not None or (self.log_qz is not None and self.log_pz is not None)

    @property
    def rate(self) -> Tensor:
        """KL(q(z given x) || p(z)), [B]: the closed form where the terms hold it, else the mean over draws."""
        if self.kl is None:
            return self.mean(self.log_qz_given - self.log_pz_given)
        if self.kl.shape[1] == 1:
            return self.kl.sum((0, 1))
        return self.mean(self.kl.sum(0))

    @property
    def rates(self) -> Tensor:
        """The closed form apart for each dimension, group or layer, [G, B].

        Raises
        ------
        ValueError
            If the terms hold no closed form.
        """
        if self.kl is None:
            raise ValueError("these terms hold no closed form of the KL: ask the model for terms(..., analytic=True)")
        if self.kl.shape[1] == 1:
            return self.kl.squeeze(1)
        return self.kl.mean(1) if self.log_r is None else (self.log_r.exp() * self.kl).sum(1)

    @property
    def bound(self) -> Tensor:
        """The evidence lower bound E_q[log p(x given z)] - KL(q(z given x) || p(z)) - shared KL, [B]."""
        bound = self.mean(self.log_px) - self.rate
        return bound if self.shared is None else bound - self.shared

    def loss(
        self, parts: Mapping[str, Tensor], bound: Tensor | None, figures: Mapping[str, Tensor] | None = None
    ) -> Loss:
        """The loss of an objective's own parts, with what every objective owes the model: penalties and the shared KL.

        Parameters
        ----------
        parts
            [B] or [], attached; weighted as they are to be minimised.
        bound
            [B], of rows alone: the shared KL is taken off here.
        figures
            To be read in the place of parts.
        """
        if any(name in parts for name in self.penalties):
            raise ValueError(f"a penalty bears the name of a part of the loss: {', '.join(parts)}")
        every = {**parts, **self.penalties}
        if self.shared is not None:
            every["shared kl"] = self.shared
            bound = None if bound is None else bound - self.shared
        loss = functools.reduce(torch.add, every.values()).mean()
        return Loss(loss, None if bound is None else bound.detach(), every, dict(figures or {}))
