"""Models: parts put together."""

from nelbo.models.latent import LatentVariableModel

__all__ = ["LatentVariableModel"]
