"""What a fitted model is for: new data, reconstructions, latent codes."""

from nelbo.apps.encode import Codes, encode
from nelbo.apps.generate import Samples, sample
from nelbo.apps.reconstruct import Reconstructions, reconstruct
from nelbo.apps.save import Result, check_suffix, write

__all__ = [
    "Codes",
    "Reconstructions",
    "Result",
    "Samples",
    "check_suffix",
    "encode",
    "reconstruct",
    "sample",
    "write",
]
