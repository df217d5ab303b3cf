"""Stages of a training: what each fits and by what, and what it takes of the stages and runs before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, final

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn

from nelbo.core import Model
from nelbo.errors import CompositionError, ConfigError, unknown

__all__ = ["Adopted", "Stage", "Stored", "adopt", "parse_stages"]

NAME = r"^[a-z0-9][a-z0-9-]{0,39}$"
PATH = r"^[A-Za-z_]\w*(\.\w+){0,19}$"
MOST = 20  # stages of a training


@final
class Stored(BaseModel):
    """Weights that a stage takes from a model that was fitted before."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    of: str  # the name of an earlier stage, or the folder of a run
    path: str = Field(pattern=PATH)  # within that model, e.g. `posterior` or `posterior.network`
    sha256: str | None = None  # of that model's weights; checked where it is given
    frozen: bool = True  # whether they stay as they are; else training goes on from them


@final
class Stage(BaseModel):
    """One step of a training of several: its settings, its objective, and what it reads of earlier ones.

    Parameters
    ----------
    name
        In lower case; its files bear it.
    changes
        Settings that differ from those of the run. The split never does.
    objective
        Of an objective that is none by its own name: `aggregate` fits the prior to the codes of the rest. By default
        that of the settings.
    stored
        Weights to start from, by their path in this stage's model.
    reads
        The earlier stage whose codes are the data of this one; by default the rows themselves.
    is_after
        Whether the stage adds to a finished run, whose settings and course are those that are shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME)
    changes: dict[str, Any] = Field(default_factory=dict)
    objective: Literal["aggregate"] | None = None
    stored: dict[str, Stored] = Field(default_factory=dict)
    reads: str | None = None
    is_after: bool = False

    @model_validator(mode="after")
    def _has_paths(self) -> Self:
        if self.is_after and not self.stored:
            raise ValueError("a stage that adds to a finished run takes weights of it; name them in `stored`")
        for path in self.stored:
            if not path.replace(".", "").replace("_", "").isalnum():
                raise ValueError(f"{path!r} is no path within a model")
        return self


@final
@dataclass(frozen=True, eq=False)
class Adopted:
    """Weights of a part that were found and verified, before anything is built."""

    weights: Mapping[str, Tensor]
    frozen: bool


def parse_stages(content: object) -> tuple[Stage, ...]:
    """Stages from plain JSON, checked as a whole.

    Raises
    ------
    ConfigError
        If it is no list of stages, two have one name, or one reads a stage that does not come before it.
    """
    if not isinstance(content, list | tuple) or not 1 <= len(content) <= MOST:
        raise ConfigError(f"the stages of a training are a list of 1 to {MOST}")
    try:
        stages = tuple(each if isinstance(each, Stage) else Stage.model_validate(each) for each in content)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise ConfigError(f"a stage's {'.'.join(map(str, first['loc'])) or 'table'}: {first['msg']}") from None
    check_order(stages)
    return stages


def check_order(stages: Sequence[Stage]) -> None:
    """Refuse stages of one name, and ones that read what does not come before them."""
    before: list[str] = []
    for stage in stages:
        if stage.name in before:
            raise ConfigError(f"two stages are called {stage.name!r}; give each a name of its own")
        if stage.reads is not None and stage.reads not in before:
            raise unknown(f"stage before {stage.name!r} to read the codes of:", stage.reads, before)
        before.append(stage.name)


def under(weights: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
    """The weights below a path, without it.

    Raises
    ------
    CompositionError
        If there are none.
    """
    prefix = f"{path}."
    found = {name.removeprefix(prefix): tensor for name, tensor in weights.items() if name.startswith(prefix)}
    if not found:
        tops = sorted({name.partition(".")[0] for name in weights})
        raise CompositionError(f"the stored model has no weights below {path!r}; it has: {', '.join(tops)}")
    return found


def adopt(model: Model, adopted: Mapping[str, Adopted]) -> list[nn.Module]:
    """Give parts of a model the weights that were stored; the parts that stay as they are.

    Raises
    ------
    CompositionError
        If the model has no such part, or the weights are not of its shapes.
    """
    frozen = []
    for path, taken in adopted.items():
        try:
            part = model.get_submodule(path)
        except AttributeError:
            names = ", ".join(name for name, _ in model.named_children())
            raise CompositionError(f"the model has no part {path!r} to take stored weights; it has: {names}") from None
        try:
            with torch.no_grad():
                part.load_state_dict(dict(taken.weights))
        except RuntimeError as problem:
            reason = str(problem).splitlines()[-1].strip()
            raise CompositionError(f"the stored weights do not fit {path!r}: {reason}") from None
        if taken.frozen:
            part.requires_grad_(False)
            frozen.append(part)
    return frozen
