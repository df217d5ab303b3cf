"""Likelihoods p(x given z): decoders."""

from nelbo.likelihoods.bernoulli import BernoulliLikelihood
from nelbo.likelihoods.categorical import CategoricalLikelihood
from nelbo.likelihoods.continuous_bernoulli import ContinuousBernoulliLikelihood
from nelbo.likelihoods.discretized_logistic import DiscretizedLogisticLikelihood
from nelbo.likelihoods.discretized_logistic_mixture import DiscretizedLogisticMixtureLikelihood
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.gaussian import GaussianLikelihood
from nelbo.likelihoods.negative_binomial import NegativeBinomialLikelihood
from nelbo.likelihoods.student import StudentTLikelihood

__all__ = [
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "ContinuousBernoulliLikelihood",
    "DiscretizedLogisticLikelihood",
    "DiscretizedLogisticMixtureLikelihood",
    "Elementwise",
    "GaussianLikelihood",
    "NegativeBinomialLikelihood",
    "StudentTLikelihood",
]
