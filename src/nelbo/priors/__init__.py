"""Priors p(z)."""

from nelbo.priors.flow import FlowPrior
from nelbo.priors.mixture import MixturePrior
from nelbo.priors.standard import StandardNormalPrior
from nelbo.priors.sticks import StickBreakingPrior
from nelbo.priors.vamp import VampPrior

__all__ = ["FlowPrior", "MixturePrior", "StandardNormalPrior", "StickBreakingPrior", "VampPrior"]
