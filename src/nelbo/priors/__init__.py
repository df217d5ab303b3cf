"""Priors p(z)."""

from nelbo.priors.bernoulli import BernoulliPrior, RelaxedBernoulliPrior
from nelbo.priors.categorical import CategoricalPrior
from nelbo.priors.cauchy import CauchyPrior
from nelbo.priors.conditional import ConditionalPrior
from nelbo.priors.dirichlet import DirichletPrior
from nelbo.priors.flow import FlowPrior
from nelbo.priors.gamma import GammaPrior
from nelbo.priors.hypersphere import HyperspherePrior
from nelbo.priors.laplace import LaplacePrior
from nelbo.priors.mixture import MixturePrior
from nelbo.priors.normal import NormalPrior
from nelbo.priors.one_hot import OneHotPrior
from nelbo.priors.second_stage import SecondStagePrior
from nelbo.priors.standard import StandardNormalPrior
from nelbo.priors.sticks import StickBreakingPrior
from nelbo.priors.vamp import VampPrior

__all__ = [
    "BernoulliPrior",
    "CategoricalPrior",
    "CauchyPrior",
    "ConditionalPrior",
    "DirichletPrior",
    "FlowPrior",
    "GammaPrior",
    "HyperspherePrior",
    "LaplacePrior",
    "MixturePrior",
    "NormalPrior",
    "OneHotPrior",
    "RelaxedBernoulliPrior",
    "SecondStagePrior",
    "StandardNormalPrior",
    "StickBreakingPrior",
    "VampPrior",
]
