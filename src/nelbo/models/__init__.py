"""Models: parts put together."""

from nelbo.models.drawn import drawn_terms
from nelbo.models.latent import LatentVariableModel

__all__ = ["LatentVariableModel", "drawn_terms"]
