"""Likelihoods p(x given z): decoders."""

from nelbo.likelihoods.bernoulli import BernoulliLikelihood
from nelbo.likelihoods.continuous_bernoulli import ContinuousBernoulliLikelihood
from nelbo.likelihoods.discretized_logistic import DiscretizedLogisticLikelihood
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.gaussian import GaussianLikelihood

__all__ = [
    "BernoulliLikelihood",
    "ContinuousBernoulliLikelihood",
    "DiscretizedLogisticLikelihood",
    "Elementwise",
    "GaussianLikelihood",
]
