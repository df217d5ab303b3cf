"""Objectives of several importance samples: IWAE and its relatives."""

from __future__ import annotations

from typing import final

import torch

from nelbo.core import Batch, Bound, Gradient, Loss, Model, SinglePhase
from nelbo.errors import CompositionError, ConfigError
from nelbo.objectives.bounds import ImportanceWeighted, MultiplyImportanceWeighted
from nelbo.objectives.gradients import (
    DoublyReparameterised,
    Pathwise,
    StickingTheLanding,
    check_draws,
    needs_equal_weights,
)
from nelbo.objectives.regularisers import needs_density
from nelbo.objectives.score import VIMCO
from nelbo.registry import register


@register("objective/importance")
@final
class ImportanceObjective(SinglePhase):
    """loss = -bound(log w_1, ..., log w_K), z_k ~ q(z given x); on the command line by the name of the bound.

    Parameters
    ----------
    model
        Emits `Terms`.
    bound
        `ImportanceWeighted()`, `MultiplyImportanceWeighted(5)`, `CombinedBound(0.5)`, `RenyiBound(0.5)`, ...
    samples
        K, the number of draws of z a datum.
    gradient
        `Pathwise()` (default), `DoublyReparameterised()`, or a score function (`VIMCO()`).

    Raises
    ------
    CompositionError
        If q has no density, or the gradient is biased for this bound or cannot be had from q.

    References
    ----------
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, arXiv:1509.00519, eq. 8.
    """

    def __init__(self, model: Model, bound: Bound, samples: int = 10, gradient: Gradient | None = None) -> None:
        super().__init__()
        _needs_draws(samples)
        needs_density("an importance-weighted bound", model)
        if isinstance(gradient, StickingTheLanding):
            raise CompositionError("gradient=stl is biased for this bound; use gradient=dreg, its unbiased form")
        if isinstance(gradient, VIMCO) and samples < 2:
            raise ConfigError("gradient=vimco needs 2 draws or more; give e.g. samples=5")
        bound(torch.zeros(samples, 1))  # refuses a number of draws that it cannot take
        if isinstance(bound, MultiplyImportanceWeighted):
            needs_equal_weights("multiply-iwae", model)
        if isinstance(gradient, DoublyReparameterised):
            bound.slopes(torch.zeros(samples, 1))
        self.model = model
        self.samples = samples
        self.gradient = Pathwise() if gradient is None else gradient
        check_draws(self.gradient, model)
        self.bound = bound

    def forward(self, batch: Batch) -> Loss:
        terms = self.model.terms(batch, self.samples, self.gradient.draw)
        surrogate = self.gradient(self.bound, terms.log_weights, terms, batch)
        log_r = None if terms.log_r is None else terms.log_r.detach()
        return terms.loss({"bound": -surrogate}, self.bound(terms.log_weights.detach(), log_r))


@register("objective/piwae")
@final
class PIWAE(SinglePhase):
    """Likelihood and prior follow the importance-weighted bound of K draws, q the multiply weighted one of M groups.

    The two gradients of one set of draws: that of the decoder with z held constant, that of q with the parameters of
    p(x, z) held constant (a second pass through the decoder).

    Parameters
    ----------
    model
        Emits `Terms`.
    samples
        K, the number of draws of z a datum.
    groups
        M, which divides K.

    References
    ----------
    Rainforth et al. (2018), Tighter variational bounds are not necessarily better, arXiv:1802.04537, section 5.
    """

    def __init__(self, model: Model, samples: int = 64, groups: int = 8) -> None:
        super().__init__()
        _needs_draws(samples)
        needs_density("an importance-weighted bound", model)
        check_draws(Pathwise(), model)
        needs_equal_weights("piwae", model)
        self.model = model
        self.samples = samples
        self.bound = ImportanceWeighted()
        self.grouped = MultiplyImportanceWeighted(groups)
        self.grouped(torch.zeros(samples, 1))

    def forward(self, batch: Batch) -> Loss:
        terms = self.model.terms(batch, self.samples)
        log_w = terms.log_weights
        constant = log_w.detach()
        # sum_k c_k log w_k has the gradient of a bound with slopes c.
        both, own = self.bound.slopes(constant)[0], self.grouped.slopes(constant)[0]
        joint = self.model.log_joint(batch, terms.z.detach())
        linear = (own * log_w).sum(0) + ((both - own) * joint).sum(0)
        value = self.bound(constant)
        return terms.loss({"bound": -(value + linear - linear.detach())}, value)


def IWAE(model: Model, samples: int = 10, gradient: Gradient | None = None) -> ImportanceObjective:  # noqa: N802
    """The importance weighted autoencoder: log (1/K) sum_k w_k; Burda et al. (2016), eq. 8."""
    return ImportanceObjective(model, ImportanceWeighted(), samples, gradient)


def _needs_draws(samples: int) -> None:
    if samples < 1:
        raise ConfigError(f"an importance-weighted bound needs 1 draw of z or more, but samples={samples} was given")
