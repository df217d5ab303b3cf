"""Where numbers stop being finite: outputs of modules in the order of their execution, then gradients in theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.utils.hooks import RemovableHandle

from nelbo.core import Batch

DEPTH = 4  # of tensors within tuples, mappings and distributions
Tensors = Iterator[tuple[str, Tensor]]


@final
@dataclass(frozen=True, eq=False)
class Output:
    """Whether the numbers of a module are finite: a flag for each row of the batch, or one for all."""

    module: str
    what: str  # of the distribution, where the module returned one
    owner: nn.Module
    is_finite: Tensor  # [B] or []

    @property
    def rows(self) -> list[int]:
        """Rows that are not finite; empty where they cannot be told apart."""
        return bad_rows(self.is_finite)


@final
@dataclass
class Trace:
    """What modules put out during the loss of one phase, and the gradients that came back to them.

    Nothing is waited for: flags stay on the device until somebody asks for the first that is not finite.
    """

    rows: int
    outputs: list[Output] = field(default_factory=list)
    gradients: list[Output] = field(default_factory=list)
    handles: list[RemovableHandle] = field(default_factory=list)
    follows_gradients: bool = False

    def note(self, name: str, module: nn.Module, output: object) -> None:
        """Take down an output, and wait for its gradient."""
        for what, tensor in tensors(output):
            if not tensor.is_floating_point():
                continue
            self.outputs.append(Output(name, what, module, finite_rows(tensor.detach(), self.rows)))
            if tensor.requires_grad and not what:
                self.handles.append(tensor.register_hook(_Gradient(self, name, module)))  # type: ignore[no-untyped-call]

    def first_output(self) -> Output | None:
        """The first that was not finite."""
        return _first(self.outputs)

    def first_gradient(self) -> Output | None:
        """The first, on the way back, that was not finite."""
        return _first(self.gradients)

    def close(self) -> None:
        """Leave the graph as it was."""
        for handle in self.handles:
            handle.remove()
        self.handles.clear()


@final
class _Gradient:
    """Takes down a gradient; changes nothing."""

    def __init__(self, trace: Trace, name: str, module: nn.Module) -> None:
        self._trace, self._name, self._module = trace, name, module

    def __call__(self, gradient: Tensor) -> None:
        trace = self._trace
        if trace.follows_gradients:
            trace.gradients.append(Output(self._name, "", self._module, finite_rows(gradient.detach(), trace.rows)))


def tensors(output: object, what: str = "", depth: int = DEPTH) -> Tensors:
    """Every tensor of what a module returned, those of a distribution with its name and theirs."""
    if isinstance(output, Tensor):
        yield what, output
    elif depth == 0:
        return
    elif isinstance(output, Distribution):
        for name, value in vars(output).items():
            yield from tensors(value, f"{name.strip('_')} of {type(output).__name__}", depth - 1)
    elif isinstance(output, dict):
        for value in output.values():
            yield from tensors(value, what, depth - 1)
    elif isinstance(output, list | tuple):
        for value in output:
            yield from tensors(value, what, depth - 1)


def finite_rows(values: Tensor, rows: int) -> Tensor:
    """Whether the values of each row are finite, [B]; [] where values have no axis of rows.

    Draws are folded into the first axis, [K B, ...] with the row last to count, or lie in an axis of their own,
    [K, B, ...].
    """
    finite = torch.isfinite(values)
    if finite.dim() > 1 and finite.shape[1] == rows != finite.shape[0]:
        return finite.transpose(0, 1).reshape(rows, -1).all(1)
    folded = finite.dim() > 1 and finite.shape[0] % rows == 0
    if finite.dim() and finite.numel() and (folded or finite.shape[0] == rows):
        return finite.reshape(finite.shape[0], -1).all(1).view(-1, rows).all(0)
    return finite.all()


def bad_rows(is_finite: Tensor) -> list[int]:
    """Places of what is not finite; empty where there is one flag for all rows."""
    return [] if is_finite.dim() == 0 else [int(row) for row in (~is_finite).nonzero().flatten()]


def bad_columns(batch: Batch) -> tuple[list[int], list[tuple[int, ...]]]:
    """Rows and cells of x, or of what the posterior reads of it, that are not finite and not missing."""
    bad = ~torch.isfinite(batch.x) if batch.x.is_floating_point() else torch.zeros_like(batch.x, dtype=torch.bool)
    if batch.x_in is not None and batch.x_in.shape == bad.shape:
        bad = bad | ~torch.isfinite(batch.x_in)
    if batch.mask is not None and batch.mask.shape == bad.shape:
        bad = bad & batch.mask  # a missing cell is NaN in what the posterior reads
    found = bad.nonzero().tolist()
    return sorted({row for row, *_ in found}), sorted({tuple(cell) for _, *cell in found})


def listing(values: Iterable[object], most: int = 8) -> str:
    """`1`, `1 and 2`, `1, 2 and 3`, `1, 2, ... and 9 more`."""
    words = [str(value) for value in values]
    if len(words) > most + 1:
        words = [*words[:most], f"{len(words) - most} more"]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _first(outputs: Sequence[Output]) -> Output | None:
    return next((output for output in outputs if not bool(output.is_finite.all())), None)
