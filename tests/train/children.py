"""Work done in children forked from this process, which is warm: torch is loaded."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable

import torch


def forked(work: Callable[[], object]) -> int:
    """The number of a process that does some work, and ends."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        torch.set_num_threads(1)
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def ended(pid: int) -> bool:
    """Wait for a child; whether it came to its end (a kill is none).

    Raises
    ------
    RuntimeError
        If it failed by itself.
    """
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return False
    if os.WEXITSTATUS(status):
        raise RuntimeError("a child ended with a fault of its own; its words are above")
    return True
