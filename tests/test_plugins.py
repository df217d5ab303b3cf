"""Plugins in Python: what is loaded, when it is loaded again, and what is undone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nelbo import plugins
from nelbo.errors import ConfigError
from nelbo.registry import lookup, registered

pytestmark = pytest.mark.usefixtures("own_parts")

PRIOR = """
from nelbo import register
from nelbo.core import Prior
from nelbo.priors import StandardNormalPrior

LOADED = {number}

@register("prior/{name}")
class Mine(Prior):
    def __init__(self, dim):
        super().__init__()
        self.inner = StandardNormalPrior(dim)

    def forward(self, context=None, posterior=None):
        return self.inner()
"""


def write(path: Path, name: str = "mine", number: int = 1) -> Path:
    path.write_text(PRIOR.format(name=name, number=number))
    return path


def test_the_same_file_is_imported_once(tmp_path: Path) -> None:
    file = write(tmp_path / "own.py")
    first = plugins.load(file)
    cls = lookup("prior/mine")
    assert plugins.load(str(file)) is first
    assert lookup("prior/mine") is cls
    assert first.parts == ("prior/mine",)
    assert plugins.origin("prior/mine") is first
    assert plugins.origin("prior/standard") is None


def test_a_file_of_the_same_length_saved_within_a_second_is_read_anew_and_leaves_no_compiled_copy(
    tmp_path: Path,
) -> None:
    file = tmp_path / "own.py"
    seen = []
    for number in (1, 2):
        plugins.load(write(file, number=number))
        seen.append(sys.modules[lookup("prior/mine").__module__].LOADED)
    assert seen == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["own.py"]


def test_a_changed_file_takes_its_old_parts_back(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    plugins.load(write(file, "first"))
    plugins.load(write(file, "second"))
    assert {"first", "second"} & set(dict(registered("prior"))) == {"second"}


def test_a_change_that_fails_leaves_the_old_parts(tmp_path: Path) -> None:
    file = write(tmp_path / "own.py")
    plugins.load(file)
    cls = lookup("prior/mine")
    file.write_text(file.read_text() + "raise RuntimeError('half way')\n")
    with pytest.raises(ConfigError, match="RuntimeError: half way"):
        plugins.load(file)
    assert lookup("prior/mine") is cls


def test_two_files_cannot_hold_one_name(tmp_path: Path) -> None:
    plugins.load(write(tmp_path / "one.py"))
    with pytest.raises(Exception, match=r"two\.py, line 8: the name 'prior/mine' is taken by plugin_one_"):
        plugins.load(write(tmp_path / "two.py"))
    assert lookup("prior/mine").__module__.startswith("plugin_one_")


def test_a_spec_names_the_plugins_of_its_parts_only(tmp_path: Path) -> None:
    plugin = plugins.load(write(tmp_path / "own.py"))
    plugins.load(write(tmp_path / "idle.py", "idle"))
    spec = {"part": "model/latent", "prior": {"part": "prior/mine", "dim": 2}, "others": [{"part": "prior/mine"}]}
    assert plugins.used_by(spec) == [{"path": str(plugin.file), "sha256": plugin.sha256, "parts": ["prior/mine"]}]


def test_what_was_recorded_is_required_and_a_change_is_warned_of(tmp_path: Path) -> None:
    record = {"path": "/gone/own.py", "sha256": "0" * 64, "parts": ["prior/mine"]}
    with pytest.raises(ConfigError, match=r"a run was trained with the prior 'mine' of the plugin /gone/own\.py.*pass"):
        plugins.require([record], "a run")
    plugin = plugins.load(write(tmp_path / "own.py"))
    with pytest.warns(UserWarning, match="is not the file that this run was trained with"):
        plugins.require([record], "a run")
    plugins.require([{**record, "sha256": plugin.sha256}], "a run")


def test_a_function_is_taken_from_a_file_that_is_named(tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def double(x):\n    return 2 * x\n")
    double = plugins.function(file, "double", "features=FILE")
    assert double(21) == 42
    assert double.file == file
    assert [path.name for path in tmp_path.iterdir()] == ["own.py"]
    with pytest.raises(ConfigError, match=r"own\.py, line 2 raised TypeError.*mend the file: double must take what"):
        double({})


def test_a_function_of_a_plugin_that_is_loaded_is_of_the_same_module(tmp_path: Path) -> None:
    file = write(tmp_path / "own.py")
    file.write_text(file.read_text() + "\ndef classes():\n    return Mine\n")
    with pytest.raises(ConfigError, match="registers parts; give it with --plugin"):
        plugins.function(file, "classes", "features=FILE")
    assert "mine" not in dict(registered("prior"))
    plugins.load(file)
    assert plugins.function(file, "classes", "features=FILE")() is lookup("prior/mine")


def test_a_file_that_fails_leaves_no_module(tmp_path: Path) -> None:
    file = tmp_path / "failing.py"
    file.write_text("raise SystemExit(3)\n")
    with pytest.raises(
        ConfigError, match="line 1 raised SystemExit: 3; mend the file: it must be importable by itself"
    ):
        plugins.function(file, "anything", "features=FILE")
    assert not [name for name in sys.modules if name.startswith("plugin_failing")]
