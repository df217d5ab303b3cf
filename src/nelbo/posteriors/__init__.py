"""Posteriors q(z given x): recognition models."""

from nelbo.posteriors.bernoulli import BernoulliPosterior, RelaxedBernoulliPosterior
from nelbo.posteriors.beta import BetaPosterior
from nelbo.posteriors.categorical import RelaxedCategoricalPosterior, StraightThroughCategoricalPosterior
from nelbo.posteriors.delta import DeltaPosterior
from nelbo.posteriors.full import FullGaussianPosterior
from nelbo.posteriors.gaussian import GaussianPosterior
from nelbo.posteriors.householder import HouseholderPosterior
from nelbo.posteriors.iaf import InverseAutoregressivePosterior
from nelbo.posteriors.kumaraswamy import KumaraswamyPosterior
from nelbo.posteriors.location_scale import (
    CauchyPosterior,
    GumbelPosterior,
    LaplacePosterior,
    LogisticPosterior,
    StudentTPosterior,
)
from nelbo.posteriors.low_rank import LowRankGaussianPosterior
from nelbo.posteriors.planar import PlanarPosterior
from nelbo.posteriors.positive import ExponentialPosterior, GammaPosterior, LogNormalPosterior
from nelbo.posteriors.radial import RadialPosterior
from nelbo.posteriors.simplex import DirichletPosterior, LogisticNormalPosterior
from nelbo.posteriors.spline import SplinePosterior
from nelbo.posteriors.sylvester import SylvesterPosterior
from nelbo.posteriors.von_mises_fisher import VonMisesFisherPosterior

__all__ = [
    "BernoulliPosterior",
    "BetaPosterior",
    "CauchyPosterior",
    "DeltaPosterior",
    "DirichletPosterior",
    "ExponentialPosterior",
    "FullGaussianPosterior",
    "GammaPosterior",
    "GaussianPosterior",
    "GumbelPosterior",
    "HouseholderPosterior",
    "InverseAutoregressivePosterior",
    "KumaraswamyPosterior",
    "LaplacePosterior",
    "LogNormalPosterior",
    "LogisticNormalPosterior",
    "LogisticPosterior",
    "LowRankGaussianPosterior",
    "PlanarPosterior",
    "RadialPosterior",
    "RelaxedBernoulliPosterior",
    "RelaxedCategoricalPosterior",
    "SplinePosterior",
    "StraightThroughCategoricalPosterior",
    "StudentTPosterior",
    "SylvesterPosterior",
    "VonMisesFisherPosterior",
]
