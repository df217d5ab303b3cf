"""Posteriors q(z given x): recognition models."""

from nelbo.posteriors.delta import DeltaPosterior
from nelbo.posteriors.full import FullGaussianPosterior
from nelbo.posteriors.gaussian import GaussianPosterior
from nelbo.posteriors.iaf import InverseAutoregressivePosterior
from nelbo.posteriors.kumaraswamy import KumaraswamyPosterior

__all__ = [
    "DeltaPosterior",
    "FullGaussianPosterior",
    "GaussianPosterior",
    "InverseAutoregressivePosterior",
    "KumaraswamyPosterior",
]
