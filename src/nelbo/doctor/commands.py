"""Commands a reader can paste: the run's own settings, with what should change."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from nelbo.data import DataSpec
from nelbo.errors import NelboError
from nelbo.networks import options
from nelbo.recipes import RECIPES, choose_transform
from nelbo.settings import Settings, resolve

__all__ = ["evaluate_command", "plugin_files", "resume_command", "train_command"]

# What the machine decides, what the data decide, and what is written by a rule of its own below.
_MACHINE = {"threads", "device", "time_limit"}
_WORDED = {"source", "recipe", "transform", "binarize", "likelihood", "hidden", "drop", "compile"}
_BY_RULE = _MACHINE | _WORDED | {"epochs", "steps", "patience"}


def train_command(settings: Settings, spec: DataSpec, plugins: Iterable[str] = (), **changes: Any) -> str:
    """`nelbo train ...` that repeats a run but for the changes; no folder is named, so a fresh one is taken.

    A changed recipe brings its own defaults along.

    Parameters
    ----------
    settings
        The resolved settings of the run.
    spec
        Of the data as the likelihood saw them.
    plugins
        Files that its parts come from.
    changes
        Settings by name; `None` leaves the choice to the program.
    """
    recipe = RECIPES.get(str(changes.get("recipe", settings.recipe)))
    brought = dict(recipe.defaults) if recipe is not None and "recipe" in changes else {}
    wanted = settings.model_copy(update={**brought, **changes})
    base = resolve(recipe.defaults) if recipe is not None else Settings()
    words = ["nelbo", "train", wanted.source]
    if wanted.recipe != Settings().recipe:
        words += ["--recipe", wanted.recipe]
    words += _transform_words(wanted, spec)
    for name in Settings.model_fields:
        value = getattr(wanted, name)
        if name not in _BY_RULE and value is not None and value != getattr(base, name):
            words += [_flag(name), _text(value)]
    if wanted.hidden != base.hidden and "hidden" in options(wanted.network.partition(":")[0]):
        words += ["--hidden", ",".join(map(str, wanted.hidden))]
    for column in wanted.drop:
        words += ["--drop", column]
    if wanted.compile:
        words.append("--compile")
    return shlex.join([*words, *_length_words(wanted, settings), *_plugin_words(plugins)])


def evaluate_command(folder: str, samples: int | None = None, plugins: Iterable[str] = ()) -> str:
    """`nelbo evaluate RUN`, with more importance samples if asked for."""
    more = [] if samples is None else ["--samples", str(samples)]
    return shlex.join(["nelbo", "evaluate", folder, *more, *_plugin_words(plugins)])


def resume_command(folder: str, plugins: Iterable[str] = ()) -> str:
    """`nelbo train --resume RUN`."""
    return shlex.join(["nelbo", "train", "--resume", folder, *_plugin_words(plugins)])


def plugin_files(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The plugins that a run was trained with."""
    return tuple(str(record["path"]) for record in config.get("plugins", ()))


def _plugin_words(files: Iterable[str]) -> list[str]:
    return [word for file in files for word in ("--plugin", file)]


def _transform_words(wanted: Settings, spec: DataSpec) -> list[str]:
    """Transform and likelihood, left out where they are what the program would choose by itself."""
    name, _, mode = wanted.transform.partition(":mode=")
    if name == "none" and _is_automatic(wanted.likelihood, spec):
        return []
    words = {"auto": [], "none": [], "by-column": [], "binarize": ["--binarize", mode or "dynamic"]}.get(
        name, ["--transform", wanted.transform]
    )
    return words if wanted.likelihood == "auto" else [*words, "--likelihood", wanted.likelihood]


def _is_automatic(likelihood: str, spec: DataSpec) -> bool:
    try:
        return choose_transform(spec, Settings()) == ("none", likelihood)
    except NelboError:
        return False


def _length_words(wanted: Settings, before: Settings) -> list[str]:
    """Steps or epochs; the patience only where it is not the program's own, which follows the length."""
    if wanted.steps is not None:
        words = ["--steps", str(wanted.steps)]
        return words if wanted.patience is None else [*words, "--patience", str(wanted.patience)]
    words = [] if wanted.epochs is None else ["--epochs", str(wanted.epochs)]
    own = max(20, (before.epochs or 0) // 4)
    return words if wanted.patience in {None, own} else [*words, "--patience", str(wanted.patience)]


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
