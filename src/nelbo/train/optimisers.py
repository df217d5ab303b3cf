"""Optimisers and learning-rate schedules by part string, fused where torch has a fused kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from nelbo.errors import ConfigError, TrainingError, unknown
from nelbo.registry import parse_part

OPTIMISERS: dict[str, tuple[type[torch.optim.Optimizer], bool]] = {
    "adam": (torch.optim.Adam, True),
    "adamw": (torch.optim.AdamW, True),
    "adagrad": (torch.optim.Adagrad, True),
    "rmsprop": (torch.optim.RMSprop, False),
    "sgd": (torch.optim.SGD, True),
}
_OPTIONS = {
    "adam": ("betas", "eps", "weight_decay", "amsgrad"),
    "adamw": ("betas", "eps", "weight_decay", "amsgrad"),
    "adagrad": ("lr_decay", "weight_decay", "initial_accumulator_value", "eps"),
    "rmsprop": ("alpha", "eps", "weight_decay", "momentum", "centered"),
    "sgd": ("momentum", "dampening", "weight_decay", "nesterov"),
}
Factor = Callable[[float], float]


def optimiser(text: str, parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """An optimiser from a part string such as `adam`, `adam:betas=0.9+0.99`, `rmsprop:centered=true`.

    Raises
    ------
    ConfigError
        For an unknown optimiser, option, or value.
    TrainingError
        If there is nothing to train.
    """
    name, options = parse_part(text)
    if name not in OPTIMISERS:
        raise unknown("optimizer", name, OPTIMISERS)
    for option in options:
        if option not in _OPTIONS[name]:
            raise unknown(f"option of optimizer {name}:", option, _OPTIONS[name])
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if not trained:
        raise TrainingError("the objective has no parameters to train; unfreeze one (requires_grad_(True))")
    cls, has_fused = OPTIMISERS[name]
    arguments: dict[str, Any] = {**options, "lr": lr}
    if has_fused:
        arguments["fused"] = True
    try:
        return cls(trained, **arguments)
    except (TypeError, ValueError) as problem:
        raise ConfigError(f"--optimizer {text}: {problem}") from None


def lr_factor(text: str) -> Factor:
    """The learning rate's factor as a function of the share of the run that is done.

    `constant`; `cosine` or `cosine:floor=0.1`; `linear` (to the floor); `step:at=0.5+0.75,factor=0.1`.
    """
    name, options = parse_part(text)
    builders: dict[str, tuple[Callable[..., Factor], tuple[str, ...]]] = {
        "constant": (_constant, ()),
        "cosine": (_cosine, ("floor",)),
        "linear": (_linear, ("floor",)),
        "step": (_step, ("at", "factor")),
    }
    if name not in builders:
        raise unknown("learning-rate schedule", name, builders)
    build, known = builders[name]
    for option in options:
        if option not in known:
            raise unknown(f"option of --lr-schedule {name}:", option, known)
    for option, value in options.items():
        for share in value if isinstance(value, list) else [value]:
            if not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ConfigError(f"--lr-schedule {text}: {option} should be between 0 and 1, but {share} was given")
    return build(**options)


def _constant() -> Factor:
    return lambda share: 1.0


def _cosine(floor: float = 0.0) -> Factor:
    return lambda share: floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _linear(floor: float = 0.0) -> Factor:
    return lambda share: 1 - (1 - floor) * min(share, 1.0)


def _step(at: float | list[float] = 0.5, factor: float = 0.1) -> Factor:
    places = at if isinstance(at, list) else [at]
    return lambda share: float(factor) ** sum(share >= place for place in places)
