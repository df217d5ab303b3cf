"""How heavy the tail of importance weights is: the shape of a generalised Pareto law fitted to the largest."""

from __future__ import annotations

import math

import torch
from torch import Tensor

LEAST = 5  # weights of the tail, below which no shape is fitted
RELIABLE = 0.7  # above, an estimate from so many draws is not to be trusted; Vehtari et al. (2024), section 3
PRIOR_WEIGHT, PRIOR_SHAPE = 10.0, 0.5  # the shape is drawn to 1/2 as if by ten observations


def pareto_k(log_w: Tensor) -> Tensor:
    """The shape k of the upper tail of the weights of each row, `[K, B] -> [B]`; NaN for fewer than 25 draws.

    The M = min(K / 5, 3 sqrt(K)) largest weights, less the next, follow a generalised Pareto law whose moments exist
    up to 1 / k: below 1/2 the variance of the weights is finite, from 0.7 on the estimate's error is not to be trusted,
    from 1 on the mean itself does not exist. Equal weights have no tail: -inf.

    References
    ----------
    Vehtari et al. (2024), Pareto smoothed importance sampling, arXiv:1507.02646, sections 2 and 3; the fit by Zhang and
    Stephens (2009), A new and efficient estimation method for the generalized Pareto distribution.
    """
    draws = log_w.shape[0]
    tail = int(min(draws / 5, 3 * math.sqrt(draws)))
    if tail < LEAST:
        return torch.full(log_w.shape[1:], torch.nan, dtype=torch.float64)
    largest = log_w.double().topk(tail + 1, dim=0).values
    relative = torch.exp(largest - largest[0])
    x = (relative[:-1] - relative[-1]).flip(0)  # [M, B], ascending
    k = _shape(x.clamp(min=torch.finfo(x.dtype).tiny))
    k = (tail * k + PRIOR_WEIGHT * PRIOR_SHAPE) / (tail + PRIOR_WEIGHT)
    return torch.where(x[-1] > 0, k, -torch.inf)


def _shape(x: Tensor) -> Tensor:
    """Zhang and Stephens' estimate of the shape from ascending exceedances [M, B]: [B].

    The profile likelihood of theta = -k / scale, averaged over a grid that reaches from the largest value into the
    quartile; k = mean log(1 - theta x).
    """
    count = x.shape[0]
    points = 30 + int(math.sqrt(count))
    place = torch.arange(1, points + 1, dtype=x.dtype, device=x.device).view(-1, 1)
    quartile = x[int(count / 4 + 0.5) - 1]
    theta = 1 / x[-1] + (1 - torch.sqrt(points / (place - 0.5))) / (3 * quartile)  # [G, B]
    k = torch.log1p(-theta.unsqueeze(1) * x).mean(1)  # [G, B]
    profile = count * (torch.log(-theta / k) - k - 1)
    weights = torch.softmax(profile, 0)
    best = (theta * weights).sum(0)
    return torch.log1p(-best * x).mean(0)
