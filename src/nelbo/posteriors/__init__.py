"""Posteriors q(z given x): recognition models."""

from nelbo.posteriors.gaussian import GaussianPosterior

__all__ = ["GaussianPosterior"]
