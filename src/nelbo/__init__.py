"""nelbo: autoencoders and variational autoencoders whose numbers can be trusted.

The public names are imported on first use, so that `import nelbo` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nelbo.apps.encode import encode as encode
    from nelbo.apps.generate import sample as sample
    from nelbo.apps.reconstruct import reconstruct as reconstruct
    from nelbo.core import Batch as Batch
    from nelbo.core import Draw as Draw
    from nelbo.core import Loss as Loss
    from nelbo.core import Model as Model
    from nelbo.core import Terms as Terms
    from nelbo.data import load as load_data
    from nelbo.fitting import fit as fit
    from nelbo.models.latent import LatentVariableModel as LatentVariableModel
    from nelbo.objectives.elbo import ELBO as ELBO
    from nelbo.plugins import load as load_plugin
    from nelbo.registry import build as build
    from nelbo.registry import register as register
    from nelbo.registry import spec_of as spec_of
    from nelbo.runs import Fitted as Fitted
    from nelbo.runs import Run as Run
    from nelbo.runs import load as load
    from nelbo.runs.prior import fit_prior as fit_prior
    from nelbo.settings import Settings as Settings
    from nelbo.settings import resolve as resolve
    from nelbo.train.tape import GradientTape as GradientTape

_HOMES = {
    "Batch": "nelbo.core",
    "Draw": "nelbo.core",
    "ELBO": "nelbo.objectives.elbo",
    "Fitted": "nelbo.runs",
    "GradientTape": "nelbo.train.tape",
    "LatentVariableModel": "nelbo.models.latent",
    "Loss": "nelbo.core",
    "Model": "nelbo.core",
    "Run": "nelbo.runs",
    "Settings": "nelbo.settings",
    "Terms": "nelbo.core",
    "build": "nelbo.registry",
    "encode": "nelbo.apps.encode",
    "fit": "nelbo.fitting",
    "fit_prior": "nelbo.runs.prior",
    "load": "nelbo.runs",
    "load_data": "nelbo.data:load",
    "load_plugin": "nelbo.plugins:load",
    "reconstruct": "nelbo.apps.reconstruct",
    "register": "nelbo.registry",
    "resolve": "nelbo.settings",
    "sample": "nelbo.apps.generate",
    "spec_of": "nelbo.registry",
}

__all__ = [
    "ELBO",
    "Batch",
    "Draw",
    "Fitted",
    "GradientTape",
    "LatentVariableModel",
    "Loss",
    "Model",
    "Run",
    "Settings",
    "Terms",
    "build",
    "encode",
    "fit",
    "fit_prior",
    "load",
    "load_data",
    "load_plugin",
    "reconstruct",
    "register",
    "resolve",
    "sample",
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
