"""Distributions that torch lacks or has in a form too slow or too coarse, and the rates between them."""

from nelbo.distributions.bernoulli import LogitBernoulli
from nelbo.distributions.chain import Chain
from nelbo.distributions.continuous_bernoulli import ContinuousBernoulli
from nelbo.distributions.discretized_logistic import DiscretizedLogistic
from nelbo.distributions.drawing import draw_common, rsample_with_log_prob
from nelbo.distributions.kl import rate
from nelbo.distributions.normal import DiagonalNormal, ElementwiseNormal, Floored, LogVariance, StandardNormal, Variance

__all__ = [
    "Chain",
    "ContinuousBernoulli",
    "DiagonalNormal",
    "DiscretizedLogistic",
    "ElementwiseNormal",
    "Floored",
    "LogVariance",
    "LogitBernoulli",
    "StandardNormal",
    "Variance",
    "draw_common",
    "rate",
    "rsample_with_log_prob",
]
