"""The program itself: help, version, how fast it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from .conftest import TINY, call, environment, refuse, succeed

COMMANDS = (
    "train", "evaluate", "sample", "reconstruct", "encode",
    "report", "runs", "recipes", "parts", "datasets", "reproduce", "cite",
)  # fmt: skip
HEAVY = ("torch", "numpy", "sklearn", "PIL", "matplotlib", "pydantic")


def imported_after(code: str) -> set[str]:
    """Heavy modules that a fresh interpreter holds after some code."""
    script = f"import sys\n{code}\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment()
    )
    return set(ended.stdout.splitlines()[-1].split())


def test_importing_nelbo_imports_nothing_heavy() -> None:
    assert imported_after("import nelbo") == set()


def test_help_imports_nothing_heavy() -> None:
    code = """
sys.argv = ["nelbo", "--help"]
from nelbo.cli import main
try:
    main()
except SystemExit as ending:
    assert not ending.code
"""
    assert imported_after(code) == set()


def test_help_lists_every_command() -> None:
    out = succeed("--help").out
    assert all(command in out for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_teaches_by_an_example(command: str) -> None:
    assert f"nelbo {command}" in succeed(command, "--help").out.partition("Example:")[2]


def test_the_version_is_printed() -> None:
    import nelbo

    assert succeed("--version").out.strip() == f"nelbo {nelbo.__version__}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "digits", "--latnet", 3), "--latnet"),
        (("train", "digits", "--latent", "many"), "--latent"),
        (("train", "digits", "mnist"), "mnist"),
        (("tarin",), "'train'"),
        (("sample",), "RUN"),
    ],
)
def test_words_that_are_no_command_are_refused_in_one_sentence(words: tuple[object, ...], said: str) -> None:
    sentence = refuse(*words)
    assert said in sentence
    assert sentence.endswith(" --help")
    assert "nelbo" in sentence


def test_without_words_the_help_is_shown() -> None:
    assert "train" in call().out


@pytest.fixture
def _sigint_is_heard() -> Iterator[None]:
    """A suite in the background is deaf to the signal, and so would be the processes it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_sigint_is_heard")
def test_sigint_ends_a_training_in_one_line(tmp_path: Path) -> None:
    """The real signal, to a process of its own."""
    flags = ("--epochs", "100000", *map(str, TINY[2:]))
    training = subprocess.Popen(
        [sys.executable, "-m", "nelbo", "train", "digits", *flags, "--run", "run"],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    assert training.stderr is not None
    said = ""
    while "epoch 1/" not in said:
        said = training.stderr.readline()
        assert said, "training ended before its first epoch"
    training.send_signal(signal.SIGINT)
    _, rest = training.communicate(timeout=60)
    assert training.returncode == 130
    assert rest.splitlines()[-1] == "stopped by Ctrl-C, state saved; go on with: nelbo train --resume run"
    assert "Traceback" not in rest


def test_a_reader_that_leaves_is_no_error() -> None:
    """`nelbo cite ... | true`: the pipe is closed before anything is written."""
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(
        [sys.executable, "-m", "nelbo", "cite"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        check=False,
    )
    assert ended.returncode == 0
    assert ended.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_no_help_loses_words_to_markup(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rich reads [words] in brackets as styles and drops them."""
    from nelbo.cli.app import app

    monkeypatch.setenv("COLUMNS", "500")
    known = get_command(app).commands[command]  # type: ignore[attr-defined]
    shown = " ".join(succeed(command, "--help").out.split())
    for parameter in known.params:
        said = getattr(parameter, "help", None)
        assert said is None or " ".join(said.split()) in shown
