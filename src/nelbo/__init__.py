"""nelbo: autoencoders and variational autoencoders whose numbers can be trusted.

The public names are imported on first use, so that `import nelbo` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nelbo.core import Batch as Batch
    from nelbo.core import Draw as Draw
    from nelbo.core import Loss as Loss
    from nelbo.core import Terms as Terms
    from nelbo.data import load as load_data
    from nelbo.models.latent import LatentVariableModel as LatentVariableModel
    from nelbo.objectives.elbo import ELBO as ELBO
    from nelbo.plugins import load as load_plugin
    from nelbo.refit import fit_prior as fit_prior
    from nelbo.registry import build as build
    from nelbo.registry import register as register
    from nelbo.registry import spec_of as spec_of
    from nelbo.run import Run as Run
    from nelbo.run import fit as fit
    from nelbo.settings import Settings as Settings
    from nelbo.settings import resolve as resolve
    from nelbo.train.tape import GradientTape as GradientTape

_HOMES = {
    "Batch": "nelbo.core",
    "Draw": "nelbo.core",
    "ELBO": "nelbo.objectives.elbo",
    "GradientTape": "nelbo.train.tape",
    "LatentVariableModel": "nelbo.models.latent",
    "Loss": "nelbo.core",
    "Run": "nelbo.run",
    "Settings": "nelbo.settings",
    "Terms": "nelbo.core",
    "build": "nelbo.registry",
    "fit": "nelbo.run",
    "fit_prior": "nelbo.refit",
    "load_data": "nelbo.data:load",
    "load_plugin": "nelbo.plugins:load",
    "register": "nelbo.registry",
    "resolve": "nelbo.settings",
    "spec_of": "nelbo.registry",
}

__all__ = [
    "ELBO",
    "Batch",
    "Draw",
    "GradientTape",
    "LatentVariableModel",
    "Loss",
    "Run",
    "Settings",
    "Terms",
    "build",
    "fit",
    "fit_prior",
    "load_data",
    "load_plugin",
    "register",
    "resolve",
    "spec_of",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nelbo' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    value: object = getattr(importlib.import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
