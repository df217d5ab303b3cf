"""The laws of the house, read off its source: layers, sizes, and what is never done."""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import pkgutil
import subprocess
import sys
from abc import ABC
from collections.abc import Iterator
from pathlib import Path

import pytest

import nelbo

SOURCE = Path(nelbo.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
EVERY_FILE = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))

# From left to right; nothing imports from its right, nor from another room of its own place.
LAYERS = (
    ("errors",),
    ("arguments",),
    ("registry", "core", "storage", "noise"),
    ("data",),
    ("distributions", "networks", "samplers", "solvers"),
    ("priors", "posteriors", "likelihoods"),
    ("plugins",),
    ("models",),
    ("objectives",),
    ("settings", "citations"),
    ("recipes",),
    ("compose",),
    ("train",),
    ("runs",),
    ("evaluate",),
    ("doctor",),
    ("apps", "report"),
    ("fitting",),
    ("reproduce",),
    ("cli",),
)
PLACE = {room: place for place, rooms in enumerate(LAYERS) for room in rooms}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[tuple[str, int]]:
    """Rooms of the house that a file imports anywhere, with the line."""
    for node in ast.walk(tree(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module == "nelbo":
            names = [f"nelbo.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            parts = name.split(".")
            if parts[0] == "nelbo" and len(parts) > 1 and not parts[1].startswith("__"):
                yield parts[1], node.lineno


def test_every_room_has_its_place() -> None:
    rooms = {room_of(path) for path in FILES} - {"__init__", "__main__"}
    assert rooms <= set(PLACE), "give a new room its place in LAYERS"


@EVERY_FILE
def test_nothing_imports_from_its_right(path: Path) -> None:
    room = room_of(path)
    if room in {"__init__", "__main__"}:
        return  # the door: it names what lies behind and imports it on use
    wrong = [
        f"line {line}: {room} imports {other}"
        for other, line in imported_rooms(path)
        if other != room and PLACE.get(other, -1) >= PLACE.get(room, len(LAYERS))
    ]
    assert wrong == []


@EVERY_FILE
def test_no_file_is_longer_than_its_cap(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= (300 if room_of(path) == "core" else 500)


@EVERY_FILE
def test_every_file_says_what_it_is(path: Path) -> None:
    assert path.stem not in {"utils", "helpers", "misc", "common", "base"}
    assert ast.get_docstring(tree(path)), "the module has no docstring"


CODE_FROM_DATA = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}


@EVERY_FILE
def test_nothing_is_executed_that_was_read(path: Path) -> None:
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in CODE_FROM_DATA]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in CODE_FROM_DATA:
            found.append(str(node.module))
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in {"eval", "exec", "compile", "__import__", "torch.load", "torch.save", "os.system"}:
                found.append(called)
            if any(keyword.arg in {"allow_pickle", "shell"} and _is_true(keyword.value) for keyword in node.keywords):
                found.append(ast.unparse(node))
    assert found == []


def _is_true(node: ast.expr) -> bool:
    return not (isinstance(node, ast.Constant) and node.value is False)


RUNS_CODE_OF_THE_USERS = SOURCE / "plugins.py"  # out of which anything can come


@EVERY_FILE
def test_no_error_is_caught_that_was_not_foreseen(path: Path) -> None:
    broad = [
        node.lineno
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or {"Exception", "BaseException"} & set(ast.unparse(node.type).strip("()").split(", ")))
    ]
    assert len(broad) <= (2 if path == RUNS_CODE_OF_THE_USERS else 0)


@EVERY_FILE
def test_no_process_wide_switch_is_thrown(path: Path) -> None:
    switches = ("set_default_validate_args", "set_default_dtype", "set_default_device", "manual_seed_all")
    called = [ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert [name for name in called if name.rpartition(".")[2] in switches] == []


OTHERS_WITH_PARTS = {"self", "settings", "wanted", "case", "sections", "sides", "sides()"}
MAY_NAME_PARTS = {"core", "models", "recipes", "registry"}


@EVERY_FILE
def test_nobody_asks_a_model_for_its_class_or_reaches_for_its_parts(path: Path) -> None:
    if room_of(path) in MAY_NAME_PARTS:
        return
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"isinstance", "cast", "issubclass"}:
            found += [ast.unparse(node)] if "LatentVariableModel" in ast.unparse(node) else []
        if isinstance(node, ast.Attribute) and node.attr in {"prior", "posterior", "likelihood"}:
            owner = ast.unparse(node.value).rpartition(".")[2]
            found += [] if owner in OTHERS_WITH_PARTS else [ast.unparse(node)]
    assert found == []


# Classes.


def modules() -> list[str]:
    return [info.name for info in pkgutil.walk_packages([str(SOURCE)], "nelbo.") if not info.name.endswith("__main__")]


def classes() -> list[type]:
    found = {
        cls
        for name in modules()
        for cls in vars(importlib.import_module(name)).values()
        if inspect.isclass(cls) and cls.__module__.startswith("nelbo.")
    }
    return sorted(found, key=lambda cls: f"{cls.__module__}.{cls.__qualname__}")


def test_no_class_derives_from_a_concrete_one() -> None:
    wrong = [
        f"{cls.__qualname__} derives from {base.__qualname__}"
        for cls in classes()
        for base in cls.__bases__
        if base.__module__.startswith("nelbo.")
        and not (inspect.isabstract(base) or ABC in base.__bases__ or issubclass(base, Exception | enum.Enum))
    ]
    assert wrong == []


def test_no_variant_overrides_a_concrete_forward() -> None:
    wrong = []
    for cls in classes():
        if "forward" not in vars(cls):
            continue
        for base in cls.__mro__[1:]:
            forward = vars(base).get("forward")
            if forward is None or not base.__module__.startswith("nelbo."):
                continue
            if not getattr(forward, "__isabstractmethod__", False):
                wrong.append(f"{cls.__qualname__} over {base.__qualname__}")
    assert wrong == []


def test_errors_of_the_user_have_one_root() -> None:
    from nelbo import errors

    raised = [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, Exception)]
    assert all(issubclass(cls, errors.NelboError) for cls in raised)
    assert all(cls.__doc__ for cls in raised)


# The door.


@pytest.mark.parametrize("name", nelbo.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(nelbo, name) is not None
    assert name in dir(nelbo)


def homes() -> dict[str, str]:
    """Public names as the type checker sees them: name -> module:attribute."""
    guarded = next(node for node in tree(SOURCE / "__init__.py").body if isinstance(node, ast.If))
    return {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_public_names_are_the_same_to_the_reader_and_to_the_type_checker() -> None:
    assert set(homes()) == set(nelbo.__all__)


@pytest.mark.parametrize("name", nelbo.__all__)
def test_a_public_name_is_what_the_type_checker_sees_whatever_was_imported_before(name: str) -> None:
    for each in modules():
        importlib.import_module(each)
    module, _, attribute = homes()[name].partition(":")
    assert getattr(nelbo, name) is getattr(importlib.import_module(module), attribute)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'VEA'"):
        _ = nelbo.VEA


def run_python(code: str) -> str:
    path = f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); "
    done = subprocess.run([sys.executable, "-c", path + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "sklearn", "matplotlib", "pydantic", "scipy")
    loaded = run_python("import nelbo; print(*sys.modules)").split()
    assert [name for name in heavy if name in loaded] == []


def test_importing_every_module_leaves_torch_as_it_was() -> None:
    state = "torch.distributions.Distribution._validate_args, torch.get_default_dtype(), torch.initial_seed() >= 0"
    code = f"""
import importlib, torch, torch.distributions
before = ({state}, torch.get_rng_state().sum().item())
for name in {modules()!r}: importlib.import_module(name)
assert before == ({state}, torch.get_rng_state().sum().item())
"""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
