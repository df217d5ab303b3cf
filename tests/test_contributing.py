"""What CONTRIBUTING.md tells people to write works as it stands."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from scipy import integrate

from cli.conftest import succeed
from nelbo import plugins, registry
from nelbo.cli.app import app
from nelbo.registry import lookup

GUIDE = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = [line.split("  #")[0].strip() for line in GUIDE.splitlines() if line.startswith("nelbo ")]
SCREENFUL = 60


def block(word: str) -> str:
    """The block that holds a word."""
    (found,) = (each for each in BLOCKS if word in each)
    return str(found)


SHOWN = ("class SkewedPrior", "class HyperbolicSecantLikelihood", "import hypsecant", "class TwoLayers")


@pytest.mark.parametrize("word", SHOWN)
def test_an_example_is_within_a_screenful(word: str) -> None:
    assert len(block(word).splitlines()) <= SCREENFUL


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_line_that_is_told_is_understood(line: str) -> None:
    _, name, *words = shlex.split(line)
    typer.main.get_command(app).commands[name].make_context(name, list(words))  # type: ignore[attr-defined]


@pytest.mark.usefixtures("own_parts")
def test_the_prior_has_a_density_that_integrates_to_one_and_draws_that_follow_it(tmp_path: Path) -> None:
    (tmp_path / "my_parts.py").write_text(block("class SkewedPrior"))
    plugins.load(tmp_path / "my_parts.py")
    prior = lookup("prior/skewed")(1, skew=0.8).double()
    grid = torch.linspace(-40, 400, 400_001, dtype=torch.float64)
    with torch.no_grad():
        density = prior().log_prob(grid.unsqueeze(-1)).exp().numpy()
    assert integrate.simpson(density, x=grid.numpy()) == pytest.approx(1.0, abs=1e-8)
    torch.manual_seed(0)
    drawn = np.sort(prior().sample((4_000,))[:, 0].numpy())
    cdf = np.interp(drawn, grid.numpy(), integrate.cumulative_trapezoid(density, grid.numpy(), initial=0))
    distance = np.abs(cdf - (np.arange(4_000) + 0.5) / 4_000).max()
    assert distance < 2.2 / np.sqrt(4_000)  # Kolmogorov-Smirnov at about 1e-4


@pytest.mark.usefixtures("own_parts")
def test_the_test_of_the_likelihood_passes_and_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hyperbolic_secant.py").write_text(block("class HyperbolicSecantLikelihood"))
    plugins.load(tmp_path / "hyperbolic_secant.py")
    part = lookup("likelihood/hyperbolic-secant")
    monkeypatch.setitem(sys.modules, "nelbo.likelihoods.hyperbolic_secant", sys.modules[part.__module__])
    names: dict[str, Any] = {}
    exec(compile(block("import hypsecant"), "CONTRIBUTING.md", "exec"), names)
    names["test_density_is_scipys_and_draws_follow_it"]()
    names["HyperbolicSecant"] = torch.distributions.Normal
    with pytest.raises(AssertionError):
        names["test_density_is_scipys_and_draws_follow_it"]()


def test_the_model_is_the_toy_that_every_law_measure_and_command_is_tried_on() -> None:
    assert block("class TwoLayers") == (Path(__file__).parent / "toys" / "two_layers.py").read_text()


@pytest.mark.usefixtures("own_parts")
def test_the_model_trains_and_is_used_as_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_model.py").write_text(block("class TwoLayers"))
    plugins._LOADED.clear()
    for name in ("model/two-layers",):
        registry._CLASSES.pop(name, None)
    told = [line for line in COMMANDS if "my_model.py" in line]
    assert len(told) == 2
    for line in told:
        quick = ["--epochs", "1", "--hidden", "8"] if " train " in line else ["--no-baselines"]
        succeed(*shlex.split(line.replace("1000", "5"))[1:], *quick)
