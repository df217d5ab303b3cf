"""Models: parts put together."""

from nelbo.models.drawn import drawn_terms
from nelbo.models.latent import LatentVariableModel
from nelbo.models.ppca import PPCASolver, ProbabilisticPCA

__all__ = ["LatentVariableModel", "PPCASolver", "ProbabilisticPCA", "drawn_terms"]
