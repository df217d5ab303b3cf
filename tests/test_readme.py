"""What the README and the records tell people to type works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
import typer

from nelbo.cli.app import app
from nelbo.data import Kind
from nelbo.registry import registered
from nelbo.reproduce import REPRODUCTIONS

README = (Path(__file__).parents[1] / "README.md").read_text()
COMMANDS = [line.split("  #")[0].strip() for line in README.splitlines() if line.startswith("nelbo ")]
TOLD = [
    r.remark[r.remark.index("nelbo train") :].split(". ")[0]
    for r in REPRODUCTIONS.values()
    if "nelbo train" in r.remark
]


@pytest.mark.parametrize("line", [*COMMANDS, *TOLD])
def test_a_command_line_that_is_told_is_understood(line: str) -> None:
    _, name, *words = shlex.split(line)
    group = typer.main.get_command(app)
    command = group.commands[name]  # type: ignore[attr-defined]
    command.make_context(name, list(words))  # refuses what it does not know


def test_the_python_examples_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    names: dict[str, object] = {"x": (torch.rand(8, 784) > 0.5).float()}
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(compile(block.replace("epochs=50", "epochs=2"), "README.md", "exec"), names)
    assert (tmp_path / "runs" / "mine" / "model" / "model.safetensors").exists()


def kinds() -> str:
    """The table of kinds of data, from the registry."""
    likelihoods = dict(registered("likelihood"))
    lines = ["| kind | likelihoods that fit as it is | after a named transform |", "|---|---|---|"]
    for kind in Kind:
        fits = [name for name, cls in likelihoods.items() if kind in cls.fits]
        ways: dict[str, list[str]] = {}
        for name, cls in likelihoods.items():
            for way in getattr(cls, "after", {}).get(kind, ()):
                ways.setdefault(way, []).append(name)
        after = "; ".join(f"{way}: {', '.join(names)}" for way, names in ways.items())
        lines.append(f"| {kind.value} | {', '.join(fits)} | {after} |")
    return "\n".join(lines) + "\n"


def test_the_table_of_kinds_is_that_of_the_registry() -> None:
    assert kinds() in README, f"README.md should hold:\n{kinds()}"
