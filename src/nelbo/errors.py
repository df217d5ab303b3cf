"""What can go wrong, each as one sentence with its remedy.

Every error a user can cause is a `NelboError`; the command line prints its message and exits with status 2.
Anything else that escapes is a defect of ours and exits with status 1.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 80  # characters of a name that is shown
SHOWN = 50  # names listed; a table of genes has thousands of columns


class NelboError(Exception):
    """The user's input cannot be served; the message says what, where and what to do."""


class DataError(NelboError):
    """A source cannot be read, or what it holds cannot be modelled."""


class HolesError(DataError):
    """Values are missing or not finite; `columns` are those of a table that hold such."""

    def __init__(self, message: str, columns: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.columns = tuple(columns)


class CompositionError(NelboError):
    """Parts, objective and data do not fit together."""


class ConfigError(NelboError):
    """A setting is unknown, out of range, or contradicts another."""


class StorageError(NelboError):
    """A file cannot be written, or what is stored is damaged or from another version."""


class RunError(NelboError):
    """A run folder is missing, incomplete, or would be overwritten."""


class MissingExtraError(NelboError):
    """An optional dependency or program is absent; the message names its install command."""


class TrainingError(NelboError):
    """Training cannot go on: the loss turned non-finite, or nothing is left to train."""


def unknown(what: str, name: str, options: Iterable[str], error: type[NelboError] = ConfigError) -> NelboError:
    """An error for a misspelt name, with the nearest legal one and the list of all."""
    names = sorted(options)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    shown = ", ".join(names[:SHOWN]) or "none"
    name = name if len(name) <= LONGEST else f"{name[:LONGEST]}..."
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return error(f"unknown {what} {name!r}; {hint}known: {shown}{more}")
