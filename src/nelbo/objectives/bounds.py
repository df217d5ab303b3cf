"""Bounds: from log importance weights [K, B] to a value [B], in nats."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Tensor

from nelbo.core import Bound
from nelbo.errors import CompositionError, ConfigError
from nelbo.registry import register


@final
class EvidenceLowerBound(Bound):
    """E_q[log w], estimated by the mean over draws; Kingma and Welling (2013), eq. 2-3."""

    def __call__(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        if log_r is None:
            return log_w.mean(0)
        return (log_r.exp() * log_w).sum(0)

    def slopes(self, log_w: Tensor, log_r: Tensor | None = None) -> tuple[Tensor, Tensor]:
        equal = torch.full_like(log_w, 1 / log_w.shape[0])
        return equal if log_r is None else log_r.exp(), torch.zeros_like(log_w)

    def own(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        return self.slopes(log_w, log_r)[0] * log_w


@register("bound/iwae")
@final
class ImportanceWeighted(Bound):
    """log (1/K) sum_k w_k, a bound that tightens with K.

    References
    ----------
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, arXiv:1509.00519, eq. 8.
    """

    def __call__(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        return log_mean_exp(log_w, log_r)

    def slopes(self, log_w: Tensor, log_r: Tensor | None = None) -> tuple[Tensor, Tensor]:
        share = torch.softmax(log_w if log_r is None else log_w + log_r, 0)
        return share, 1 - share


@register("bound/multiply-iwae")
@final
class MultiplyImportanceWeighted(Bound):
    """The mean over M groups of the importance-weighted bound of K / M draws: MIWAE, not that of missing data.

    Its gradient has a higher signal-to-noise ratio for the recognition model than that of one group of K.

    References
    ----------
    Rainforth et al. (2018), Tighter variational bounds are not necessarily better, arXiv:1802.04537, eq. 9.
    """

    def __init__(self, groups: int = 2) -> None:
        if groups < 1:
            raise ConfigError(f"the multiply importance-weighted bound needs 1 group or more, but {groups} were given")
        self.groups = groups

    def __call__(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        return log_mean_exp(self._grouped(log_w, log_r).transpose(0, 1)).mean(0)

    def slopes(self, log_w: Tensor, log_r: Tensor | None = None) -> tuple[Tensor, Tensor]:
        share = torch.softmax(self._grouped(log_w, log_r), 1).view_as(log_w)
        return share / self.groups, 1 - share

    def own(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        grouped = self._grouped(log_w, log_r)  # [M, K / M, B]
        values = log_mean_exp(grouped.transpose(0, 1)) / self.groups
        return values.unsqueeze(1).expand_as(grouped).reshape_as(log_w)

    def _grouped(self, log_w: Tensor, log_r: Tensor | None) -> Tensor:
        if log_r is not None or log_w.shape[0] % self.groups:
            raise ConfigError(
                f"{log_w.shape[0]} draws cannot be put in {self.groups} groups of one size and weight; give e.g. "
                f"samples={5 * self.groups}"
            )
        return log_w.view(self.groups, -1, *log_w.shape[1:])


@register("bound/ciwae")
@final
class CombinedBound(Bound):
    """beta E[log w] + (1 - beta) log (1/K) sum_k w_k: CIWAE.

    References
    ----------
    Rainforth et al. (2018), Tighter variational bounds are not necessarily better, arXiv:1802.04537, eq. 10.
    """

    own_beta: ClassVar[bool] = True

    def __init__(self, beta: float = 0.5) -> None:
        if not 0 <= beta <= 1:
            raise ConfigError(f"the share of the lower bound must be between 0 and 1, but {beta} was given")
        self.beta = beta

    def __call__(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        lower, weighted = EvidenceLowerBound()(log_w, log_r), log_mean_exp(log_w, log_r)
        return self.beta * lower + (1 - self.beta) * weighted

    def slopes(self, log_w: Tensor, log_r: Tensor | None = None) -> tuple[Tensor, Tensor]:
        equal, _ = EvidenceLowerBound().slopes(log_w, log_r)
        share, rest = ImportanceWeighted().slopes(log_w, log_r)
        slope = self.beta * equal + (1 - self.beta) * share
        # A share may be 0 to rounding; what it is multiplied by is 1 or less.
        return slope, rest if self.beta == 0 else (1 - self.beta) * share * rest / slope

    def own(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        lower, weighted = EvidenceLowerBound().own(log_w, log_r), log_mean_exp(log_w, log_r)
        return self.beta * lower + (1 - self.beta) * weighted


@register("bound/renyi")
@final
class RenyiBound(Bound):
    """log((1/K) sum_k w_k^(1 - alpha)) / (1 - alpha): the variational Renyi bound.

    alpha = 1 is the lower bound, alpha = 0 the importance-weighted one; below 0 it can be above the evidence.

    References
    ----------
    Li and Turner (2016), Renyi divergence variational inference, arXiv:1602.02311, eq. 6 and 9.
    """

    def __init__(self, alpha: float = 0.5) -> None:
        if not math.isfinite(alpha) or alpha == 1:
            raise ConfigError(f"alpha must be finite and not 1, but {alpha} was given; alpha = 1 is --objective elbo")
        self.alpha = alpha

    def __call__(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        power = 1 - self.alpha
        return log_mean_exp(power * log_w, log_r) / power

    def slopes(self, log_w: Tensor, log_r: Tensor | None = None) -> tuple[Tensor, Tensor]:
        power = 1 - self.alpha
        share, rest = ImportanceWeighted().slopes(power * log_w, log_r)
        return share, power * rest


@register("bound/vr-max")
@final
class LargestWeight(Bound):
    """max_k log w_k: VR-max, the Renyi bound at alpha = -infinity.

    References
    ----------
    Li and Turner (2016), Renyi divergence variational inference, arXiv:1602.02311, section 4.2.
    """

    def __call__(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        return log_w.amax(0)

    def slopes(self, log_w: Tensor, log_r: Tensor | None = None) -> tuple[Tensor, Tensor]:
        raise CompositionError(
            "the largest weight is not smooth where two draws are equally large; use gradient=pathwise"
        )


def log_mean_exp(log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
    """log of the weighted mean over draws, `[K, B] -> [B]`: logsumexp(log w + log r), log r = -log K."""
    if log_r is None:
        return torch.logsumexp(log_w, 0) - math.log(log_w.shape[0])
    return torch.logsumexp(log_w + log_r, 0)
