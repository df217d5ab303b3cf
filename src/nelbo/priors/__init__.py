"""Priors p(z)."""

from nelbo.priors.standard import StandardNormalPrior

__all__ = ["StandardNormalPrior"]
