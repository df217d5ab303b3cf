"""Posteriors q(z given x): recognition models."""

from nelbo.posteriors.delta import DeltaPosterior
from nelbo.posteriors.full import FullGaussianPosterior
from nelbo.posteriors.gaussian import GaussianPosterior
from nelbo.posteriors.householder import HouseholderPosterior
from nelbo.posteriors.iaf import InverseAutoregressivePosterior
from nelbo.posteriors.kumaraswamy import KumaraswamyPosterior
from nelbo.posteriors.location_scale import LaplacePosterior, LogisticPosterior, StudentTPosterior
from nelbo.posteriors.low_rank import LowRankGaussianPosterior
from nelbo.posteriors.planar import PlanarPosterior
from nelbo.posteriors.relaxed_categorical import RelaxedCategoricalPosterior
from nelbo.posteriors.spline import SplinePosterior
from nelbo.posteriors.von_mises_fisher import VonMisesFisherPosterior

__all__ = [
    "DeltaPosterior",
    "FullGaussianPosterior",
    "GaussianPosterior",
    "HouseholderPosterior",
    "InverseAutoregressivePosterior",
    "KumaraswamyPosterior",
    "LaplacePosterior",
    "LogisticPosterior",
    "LowRankGaussianPosterior",
    "PlanarPosterior",
    "RelaxedCategoricalPosterior",
    "SplinePosterior",
    "StudentTPosterior",
    "VonMisesFisherPosterior",
]
