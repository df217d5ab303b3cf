"""The variance that fits a batch best, and its running average for evaluation."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nelbo.distributions.normal import LogVariance

LEAST_WEIGHT = 0.1  # of a new batch, once ten were seen: the momentum of batch norms


@final
class RunningVariance(nn.Module):
    """log of the mean of squared residuals over a batch, bounded below; keeps a running average of that mean.

    The first ten batches are averaged evenly, then a new one has the weight 0.1. The average and the number of batches
    are buffers, saved with the weights. Neither result carries a gradient.

    Parameters
    ----------
    min_log_variance
        Smooth lower bound of the log-variance.
    """

    mean_square: Tensor
    batches: Tensor

    def __init__(self, min_log_variance: float = -14.0) -> None:
        super().__init__()
        self.log_variance = LogVariance(min_log_variance)
        self.register_buffer("mean_square", torch.ones(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, squares: Tensor, mask: Tensor | None = None) -> Tensor:
        """Of squares [K, B, *cells], all or those observed (`mask` [B, *cells])."""
        if mask is None:
            mean = squares.mean()
        else:
            mean = torch.where(mask, squares, 0.0).sum() / (len(squares) * mask.sum()).clamp(min=1)
        self.batches += 1
        weight = self.batches.to(mean.dtype).reciprocal().clamp(min=LEAST_WEIGHT)
        self.mean_square += (mean - self.mean_square) * weight
        return self._log(mean)

    @torch.no_grad()
    def average(self) -> Tensor:
        """log of the running average; 0 before any batch was seen."""
        return self._log(self.mean_square)

    def _log(self, mean_square: Tensor) -> Tensor:
        bounded: Tensor = self.log_variance(mean_square.clamp(min=torch.finfo(mean_square.dtype).tiny).log())
        return bounded
