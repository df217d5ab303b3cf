"""Commands repeat the run they were made from."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from nelbo.doctor.commands import evaluate_command, resume_command, train_command
from nelbo.doctor.evidence import Evidence
from nelbo.recipes import find
from nelbo.settings import Settings, resolve
from nelbo.train.job import prepare
from report.runs import config

MACHINE = {"threads", "device"}


def read_back(command: str) -> Settings:
    """The settings that a command line asks for, as the program resolves them."""
    words = shlex.split(command)
    assert words[:2] == ["nelbo", "train"]
    given: dict[str, Any] = {"source": words[2]}
    rest = iter(words[3:])
    for word in rest:
        name = word.removeprefix("--").replace("-", "_")
        if name == "drop":
            given["drop"] = (*given.get("drop", ()), next(rest))
        elif name == "hidden":
            given["hidden"] = tuple(map(int, next(rest).split(",")))
        else:
            given[name] = True if name == "compile" else next(rest)
    return resolve(find(given.get("recipe", "vae")).defaults, given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"epochs": 7},
        {"steps": 50, "lr": 3e-4, "lr_schedule": "constant"},
        {"binarize": "dynamic", "hidden": (64, 32), "latent": 2, "warmup": "linear:0.2"},
        {"binarize": "threshold", "beta": 4.0},
        {"transform": "dequantize", "likelihood": "gaussian:sigma=datum", "epochs": 4, "patience": 3},
        {"recipe": "conv-vae", "network": "conv:dropout=0.1", "seed": 3},
        {"recipe": "beta-vae", "samples": 2, "keep": "last", "min_log_variance": -6.0},
        {"recipe": "linear-vae", "transform": "dequantize", "split": "all", "scaling": "unit", "clip": 10.0},
    ],
)
def test_a_command_resolves_to_the_settings_it_was_made_from(given: dict[str, Any]) -> None:
    job = prepare(resolve(find(given.get("recipe", "vae")).defaults, {"source": "digits", "threads": 1, **given}))
    again = prepare(read_back(train_command(job.settings, job.spec)))
    assert again.settings.model_dump(exclude=MACHINE) == job.settings.model_dump(exclude=MACHINE)


def test_a_change_is_the_only_change() -> None:
    job = prepare(resolve({"source": "digits", "latent": 2}))
    again = prepare(read_back(train_command(job.settings, job.spec, lr=0.01)))
    before, after = (each.settings.model_dump(exclude=MACHINE) for each in (job, again))
    assert {name for name in before if before[name] != after[name]} == {"lr"}


def test_another_recipe_brings_its_own_network() -> None:
    job = prepare(resolve({"source": "digits", "hidden": (32,)}))
    settings = read_back(train_command(job.settings, job.spec, recipe="conv-vae"))
    assert (settings.recipe, settings.network) == ("conv-vae", "conv")


def test_what_a_shell_would_take_apart_is_quoted() -> None:
    job = prepare(resolve({"source": "digits"}))
    odd = job.settings.model_copy(update={"source": "my data; rm $HOME.csv", "drop": ("a b", "c'd"), "label": "y z"})
    settings = read_back(train_command(odd, job.spec))
    assert (settings.source, settings.drop, settings.label) == (odd.source, odd.drop, odd.label)
    assert shlex.split(evaluate_command("runs/a b", 5000)) == ["nelbo", "evaluate", "runs/a b", "--samples", "5000"]
    assert shlex.split(resume_command("runs/a b")) == ["nelbo", "train", "--resume", "runs/a b"]


def test_commands_about_a_run_with_plugins_name_them() -> None:
    contents = {**config(), "plugins": [{"path": "/my parts/a.py"}, {"path": "/b.py"}]}
    evidence = Evidence.of(contents, [], None, {}, "runs/001")
    words = ["--plugin", "/my parts/a.py", "--plugin", "/b.py"]
    assert evidence.plugins == ("/my parts/a.py", "/b.py")
    for command in (
        evidence.train(latent=3),
        evaluate_command("runs/001", 9, evidence.plugins),
        resume_command("runs/001", evidence.plugins),
    ):
        assert shlex.split(command)[-4:] == words
