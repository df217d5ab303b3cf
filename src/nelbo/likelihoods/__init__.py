"""Likelihoods p(x given z): decoders."""

from nelbo.likelihoods.bernoulli import BernoulliLikelihood
from nelbo.likelihoods.beta import BetaLikelihood
from nelbo.likelihoods.beta_binomial import BetaBinomialLikelihood
from nelbo.likelihoods.categorical import CategoricalLikelihood
from nelbo.likelihoods.continuous_bernoulli import ContinuousBernoulliLikelihood
from nelbo.likelihoods.discretized_log_normal import DiscretizedLogNormalLikelihood
from nelbo.likelihoods.discretized_logistic import DiscretizedLogisticLikelihood
from nelbo.likelihoods.discretized_logistic_mixture import DiscretizedLogisticMixtureLikelihood
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.likelihoods.exponential import ExponentialLikelihood
from nelbo.likelihoods.gamma import GammaLikelihood
from nelbo.likelihoods.gaussian import GaussianLikelihood
from nelbo.likelihoods.laplace import LaplaceLikelihood
from nelbo.likelihoods.log_normal import LogNormalLikelihood
from nelbo.likelihoods.mixed import MixedLikelihood
from nelbo.likelihoods.negative_binomial import NegativeBinomialLikelihood
from nelbo.likelihoods.ordinal import OrdinalLikelihood
from nelbo.likelihoods.poisson import PoissonLikelihood
from nelbo.likelihoods.student import StudentTLikelihood
from nelbo.likelihoods.zero_inflated_negative_binomial import ZeroInflatedNegativeBinomialLikelihood

__all__ = [
    "BernoulliLikelihood",
    "BetaBinomialLikelihood",
    "BetaLikelihood",
    "CategoricalLikelihood",
    "ContinuousBernoulliLikelihood",
    "DiscretizedLogNormalLikelihood",
    "DiscretizedLogisticLikelihood",
    "DiscretizedLogisticMixtureLikelihood",
    "Elementwise",
    "ExponentialLikelihood",
    "GammaLikelihood",
    "GaussianLikelihood",
    "LaplaceLikelihood",
    "LogNormalLikelihood",
    "MixedLikelihood",
    "NegativeBinomialLikelihood",
    "OrdinalLikelihood",
    "PoissonLikelihood",
    "StudentTLikelihood",
    "ZeroInflatedNegativeBinomialLikelihood",
]
