"""What the README and the records tell people to type works."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch
import typer

from nelbo.cli.app import app
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
        exec(compile(block.replace('"epochs": 50', '"epochs": 2'), "README.md", "exec"), names)
    assert (tmp_path / "runs" / "mine" / "model" / "model.safetensors").exists()
