"""Bounds: from log importance weights [K, B] to a value [B], in nats."""

from __future__ import annotations

from typing import final

from torch import Tensor

from nelbo.core import Bound, log_mean_exp


@final
class EvidenceLowerBound(Bound):
    """E_q[log w], estimated by the mean over draws; Kingma and Welling (2013), eq. 2-3."""

    def __call__(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        if log_r is None:
            return log_w.mean(0)
        return (log_r.exp() * log_w).sum(0)


@final
class ImportanceWeighted(Bound):
    """log (1/K) sum_k w_k, a bound that tightens with K; Burda et al. (2016), arXiv:1509.00519, eq. 8."""

    def __call__(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        return log_mean_exp(log_w, log_r)
