"""The seam between the trainer and the machine: device, precision, compilation.

accelerate is asked once, and only where it is needed: a single float32 process builds no `Accelerator` (its state is
a process-wide singleton) and pays none of its per-step cost.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import final

import torch

from nelbo.core import Batch, Loss, Phase
from nelbo.errors import ConfigError, MissingExtraError

Forward = Callable[[Batch], Loss]


@final
class Engine:
    """Where and how the steps run.

    Parameters
    ----------
    device
        `auto` (a CUDA device if there is one, else the CPU), or a torch device.
    precision
        `float32`, or `bf16` (autocast through accelerate; distribution parameters stay float32).
    compile
        Whether phases are compiled; on a CPU this needs a C++ compiler.
    """

    def __init__(self, device: str = "auto", precision: str = "float32", compile: bool = False) -> None:
        self.device = _device(device)
        self._compile = compile
        self._autocast: Callable[[], AbstractContextManager[object]] = nullcontext
        if precision == "bf16":
            from accelerate import Accelerator  # type: ignore[import-untyped]

            self._autocast = Accelerator(mixed_precision="bf16", cpu=self.device.type == "cpu").autocast
        if compile and self.device.type == "cpu" and shutil.which("g++") is None and shutil.which("c++") is None:
            raise MissingExtraError(
                "--compile on a CPU needs a C++ compiler and none is found; install g++ or leave it out"
            )
        self._plain = precision == "float32"

    def prepare(self, phase: Phase) -> Forward:
        """The phase on its device, as a function from a batch to a loss."""
        phase.to(self.device)
        if self._compile:
            phase.compile()
        if self._plain:
            return phase
        return lambda batch: self._in_autocast(phase, batch)

    def _in_autocast(self, phase: Phase, batch: Batch) -> Loss:
        with self._autocast():
            return phase(batch)


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).splitlines()[0]
        raise ConfigError(f"--device {name} cannot be used here ({reason}); use --device cpu") from None
    return device
