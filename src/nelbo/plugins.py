"""Code of the user's own, from a Python file that is named: imported when asked for, never because a run says so.

A plugin is one Python file that registers parts (`@register("prior/mine")`), or one that defines a function that some
option asks for (`function`). A run remembers the file's path and SHA-256, and the parts it took from it. Opening the
run checks that they are there and refuses to guess; it imports nothing.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import shlex
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, final

from nelbo.core import Model, Objective, Posterior, Prior
from nelbo.errors import CompositionError, ConfigError, NelboError, unknown
from nelbo.likelihoods import Elementwise
from nelbo.networks import Network
from nelbo.registry import Spec, registered, registering

__all__ = ["Function", "Plugin", "blaming", "function", "load", "origin", "require", "used_by"]

# What a part of each kind must be, for the rest of the library to use it.
_BASES: Mapping[str, type] = {
    "prior": Prior,
    "posterior": Posterior,
    "likelihood": Elementwise,
    "network": Network,
    "objective": Objective,
    "model": Model,
}
_SAID: Mapping[str, tuple[str, ...]] = {"likelihood": ("fits", "density")}
_LOADED: dict[Path, Plugin] = {}


@final
@dataclass(frozen=True)
class Plugin:
    """A file that was imported, as it was then."""

    file: Path  # from the root
    sha256: str
    parts: tuple[str, ...]  # kind/name


def load(file: Path | str) -> Plugin:
    """Import a Python file for the parts that it registers; the same file again is not imported again.

    The file is a module of its own: it finds what is installed and what is on Python's path, not its neighbours. What
    it registers before it fails is forgotten.

    Raises
    ------
    ConfigError
        If there is no such file, it raises, or it registers nothing.
    CompositionError
        If it takes a name that is taken, or what it registers is no part of its kind.
    """
    path, content = _read(file, "--plugin")
    sha256 = hashlib.sha256(content).hexdigest()
    before = _LOADED.get(path)
    if before is not None and before.sha256 == sha256:
        return before
    with registering(again=before.parts if before else ()) as registered_since:
        _execute(path, content)
        found = registered_since()
        _check(path, found)
    plugin = Plugin(path, sha256, tuple(sorted(found)))
    _LOADED[path] = plugin
    return plugin


@final
@dataclass(frozen=True)
class Function:
    """A function of a file that was imported; what goes wrong in it is told with the line."""

    file: Path  # from the root
    sha256: str
    name: str
    call: Callable[..., Any] = field(repr=False)

    def __call__(self, *arguments: Any) -> Any:
        with _blaming(self.file, f"{self.name} must take what it is given"):
            return self.call(*arguments)


def function(file: Path | str, name: str, option: str) -> Function:
    """Import a Python file for one function that it defines, with the care of `load`.

    Parameters
    ----------
    name
        Of the function.
    option
        What names the file, for messages: `features=FILE`.

    Raises
    ------
    ConfigError
        If there is no such file, it raises, lacks the function, or registers parts: those are given with --plugin.
    """
    path, content = _read(file, option)
    sha256 = hashlib.sha256(content).hexdigest()
    plugin = _LOADED.get(path)
    if plugin is not None and plugin.sha256 == sha256:
        module = sys.modules[_module_name(path)]
    else:
        with registering() as registered_since:
            module = _execute(path, content)
            if registered_since():
                raise ConfigError(f"{path} registers parts; give it with --plugin {shlex.quote(str(file))} as well")
    found = getattr(module, name, None)
    if not callable(found):
        raise ConfigError(f"{path} defines no function {name}, which {option} asks for; write def {name}(...)")
    return Function(path, sha256, name, found)


def origin(part: str) -> Plugin | None:
    """The plugin that registered `kind/name`; None for a part of nelbo's."""
    return next((plugin for plugin in _LOADED.values() if part in plugin.parts), None)


@contextmanager
def blaming(spec: Spec, must: str) -> Iterator[None]:
    """What the user's own parts of a spec raise, as one sentence that names the line; ours goes through as it is."""
    files = [Path(record["path"]) for record in used_by(spec)]
    try:
        yield
    except NelboError:
        raise
    except (Exception, SystemExit) as problem:  # anything can come out of it
        if not files:
            raise
        touched = {frame.filename for frame in traceback.extract_tb(problem.__traceback__)}
        file = next((file for file in files if str(file) in touched), files[0])
        raise _failure(file, problem, must) from problem


def used_by(spec: Spec) -> list[dict[str, Any]]:
    """The plugins whose parts a spec tree names, as plain JSON: path, SHA-256, and those parts."""
    named = sorted({part for part in _parts_of(spec) if origin(part) is not None})
    records: dict[Path, dict[str, Any]] = {}
    for part in named:
        plugin = origin(part)
        assert plugin is not None
        record = {"path": str(plugin.file), "sha256": plugin.sha256, "parts": []}
        records.setdefault(plugin.file, record)["parts"].append(part)
    return list(records.values())


def require(records: Iterable[Mapping[str, Any]], what: str) -> None:
    """Refuse to go on where a part is missing that came from a plugin; warn where the plugin is another by now.

    Parameters
    ----------
    records
        As `used_by` made them.
    what
        The run or model that is opened.

    Raises
    ------
    ConfigError
        If a part is not registered by a plugin or a module of the user's own; nelbo's part of that name is another.
    """
    for record in records:
        file = str(record.get("path", "FILE"))
        for part in record.get("parts", ()):
            kind, _, name = str(part).partition("/")
            cls = dict(registered(kind)).get(name)
            if cls is None or cls.__module__.partition(".")[0] == "nelbo":
                raise ConfigError(
                    f"{what} was trained with the {kind} {name!r} of the plugin {file}, and a plugin is only imported "
                    f"where it is asked for: pass --plugin {shlex.quote(file)} (in Python, nelbo.load_plugin)"
                )
            plugin = origin(part)
            if plugin is not None and plugin.sha256 != record.get("sha256"):
                warnings.warn(
                    f"the plugin {plugin.file} is not the file that this run was trained with (its content differs), "
                    "so figures may change; give the old one with --plugin to repeat them",
                    stacklevel=1,  # one place for all, so that a run that is opened twice is warned of once
                )
                break


@final
class _Source(importlib.abc.ExecutionLoader):
    """Runs the very bytes whose SHA-256 is recorded, and leaves no compiled copy beside them."""

    def __init__(self, path: Path, content: bytes) -> None:
        self._path, self._content = path, content

    def get_filename(self, fullname: str) -> str:
        return str(self._path)

    def get_source(self, fullname: str) -> str:
        return importlib.util.decode_source(self._content)


def _read(file: Path | str, option: str) -> tuple[Path, bytes]:
    """A file from the root, and its content."""
    path = Path(file).absolute()
    try:
        return path, path.read_bytes()
    except OSError as problem:
        raise ConfigError(
            f"cannot read the plugin {file} ({problem.strerror or problem}); give {option} a Python file"
        ) from None


def _module_name(path: Path) -> str:
    """After the path, so that a changed file replaces its own parts and no others."""
    return f"plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _execute(path: Path, content: bytes) -> ModuleType:
    """Run the file as a module."""
    name, loader = _module_name(path), _Source(path, content)
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec is not None
    module, before, done = importlib.util.module_from_spec(spec), sys.modules.get(name), False
    sys.modules[name] = module  # where dataclasses and type hints look names up
    try:
        with _blaming(path, "it must be importable by itself"):
            loader.exec_module(module)
        done = True
    finally:
        if not done:
            _put_back(name, before)
    return module


@contextmanager
def _blaming(path: Path, must: str) -> Iterator[None]:
    """What comes out of code of the user's own as one sentence that names the line."""
    try:
        yield
    except (Exception, SystemExit) as problem:  # anything can come out of it
        raise _failure(path, problem, must) from problem


def _put_back(name: str, module: ModuleType | None) -> None:
    if module is None:
        del sys.modules[name]
    else:
        sys.modules[name] = module


def _failure(path: Path, problem: BaseException, must: str) -> NelboError:
    lines = [frame.lineno for frame in traceback.extract_tb(problem.__traceback__) if frame.filename == str(path)]
    number = problem.lineno if isinstance(problem, SyntaxError) else next(reversed(lines), None)
    place = str(path) if number is None else f"{path}, line {number}"
    if isinstance(problem, NelboError):
        return type(problem)(f"the plugin {place}: {problem}")
    said = problem.msg if isinstance(problem, SyntaxError) else next(iter(str(problem).splitlines()), "")
    what = f"{type(problem).__name__}: {said}" if said else type(problem).__name__
    return ConfigError(f"the plugin {place} raised {what}; mend the file: {must}")


def _check(path: Path, found: Mapping[str, type]) -> None:
    """Each new part is one that the library can use."""
    if not found:
        raise ConfigError(
            f"the plugin {path} registers nothing; mark a class of it, e.g. with @nelbo.register('prior/mine')"
        )
    for part, cls in found.items():
        kind, _, name = part.partition("/")
        if kind not in _BASES or not name:
            raise unknown(f"kind of part in the plugin {path}:", kind, _BASES, CompositionError)
        base = _BASES[kind]
        where = f"the plugin {path} registers {cls.__qualname__} as {part!r}, but it"
        if not issubclass(cls, base):
            raise CompositionError(f"{where} is no {base.__name__}; derive it from {_public(base)}")
        missing = [
            *sorted(getattr(cls, "__abstractmethods__", ())),
            *(n for n in _SAID.get(kind, ()) if not hasattr(cls, n)),
        ]
        if missing:
            raise CompositionError(f"{where} lacks {' and '.join(missing)}; define what {base.__name__} asks for")


def _public(base: type) -> str:
    """The name by which it is imported: a room and what it offers."""
    return ".".join([*base.__module__.split(".")[:2], base.__name__])


def _parts_of(spec: Any) -> Iterator[str]:
    """The registered names in a spec tree."""
    if isinstance(spec, Mapping):
        if "part" in spec:
            yield str(spec["part"])
        for value in spec.values():
            yield from _parts_of(value)
    elif isinstance(spec, list | tuple):
        for value in spec:
            yield from _parts_of(value)
