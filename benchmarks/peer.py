"""The peer library in a virtual environment of its own, and worker processes that measure one thing each."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import termios
import threading
from pathlib import Path
from typing import Any

from nelbo.errors import MissingExtraError
from nelbo.storage import read_json, write_text

HERE = Path(__file__).resolve().parent
ENVIRONMENT = HERE / ".venv-pythae"
REQUIREMENTS = ("pythae==0.1.2", "torch==2.13.0")
NELBO_WORKER, PYTHAE_WORKER = HERE / "nelbo_worker.py", HERE / "pythae_worker.py"
ROWS, COLUMNS = 40, 120  # of the terminal that workers draw their progress on


def pythae_python() -> Path:
    """The interpreter of pythae's environment, which is made on first use.

    Raises
    ------
    MissingExtraError
        If it cannot be installed here.
    """
    python, marker = ENVIRONMENT / "bin" / "python", ENVIRONMENT / ".installed"
    wanted = " ".join(REQUIREMENTS)
    if marker.exists() and marker.read_text() == wanted:
        return python
    print(f"installing {wanted} into {ENVIRONMENT.relative_to(HERE.parent)} (once)", file=sys.stderr)
    _install([sys.executable, "-m", "venv", str(ENVIRONMENT)])
    constraints = str(HERE.parent / "constraints.txt")
    _install([str(python), "-m", "pip", "install", "--quiet", "-c", constraints, *REQUIREMENTS])
    write_text(marker, wanted)
    return python


def run_worker(python: Path | str, script: Path, threads: int, *words: str | int | Path) -> Any:
    """What a worker process wrote to its `--out` file, as read from JSON.

    It runs on a terminal of its own, so that whoever shows a progress bar to a person does so here.

    Raises
    ------
    RuntimeError
        If it fails; the message ends with the last lines it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [str(python), str(script), *map(str, words), "--threads", str(threads), "--out", str(out)]
        code, said = _on_terminal(command, {**os.environ, "OMP_NUM_THREADS": str(threads), "TERM": "xterm"})
        if code != 0:
            last = "\n".join(said.splitlines()[-15:])
            raise RuntimeError(f"{script.name} {words[0]} failed with status {code}:\n{last}")
        return read_json(out)


def _on_terminal(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (ROWS, COLUMNS))
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=follower, stderr=follower, env=environment, cwd=HERE.parent
    )
    os.close(follower)
    pieces: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(leader, pieces), daemon=True)
    reader.start()
    try:
        code = process.wait()
    except BaseException:
        process.kill()
        raise
    reader.join()
    os.close(leader)
    return code, b"".join(pieces).decode(errors="replace").replace("\r", "\n")


def _drain(leader: int, pieces: list[bytes]) -> None:
    """Read what is drawn until the other side closes, which Linux reports as an error."""
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:
            return
        if not piece:
            return
        pieces.append(piece)
        del pieces[:-50]  # only the end is ever shown


def _install(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no reason given"]
        raise MissingExtraError(
            f"the environment for pythae cannot be made ({lines[-1].strip()}); leave it out with --without-pythae"
        )
