"""The tape itself: a context in which every loss of an objective is taken apart."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import TracebackType
from typing import Any, Self, final

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from nelbo.core import Batch, Loss, Objective, Phase
from nelbo.errors import ConfigError
from nelbo.train.tape.faults import Connections, broken_gradient, broken_loss
from nelbo.train.tape.names import Names
from nelbo.train.tape.readings import Gradients, Reading, gradient, read, take
from nelbo.train.tape.table import table
from nelbo.train.tape.trace import Trace


@final
class GradientTape(AbstractContextManager["GradientTape"]):
    r"""What each term of a loss does to each group of parameters, what is cut off, and what turned non-finite first.

        with GradientTape(objective) as tape:
            loss = objective(batch)  # or a phase of it; .backward() may follow or not
        print(tape.summary())

    Every loss that a phase of the objective gives while the tape is open, with gradients on, is read once. Terms are
    the parts of the loss, t_b for the B rows or one number t, whose means sum to it. Parameters are grouped by the part
    that owns them, or by the module below it: `prior`, `posterior.network`, `likelihood.network`. For each term and
    group, with g the gradient of the term's mean, in nats per datum:

    - `norm` = |g|, and `zeros`, the share of entries of g that are exactly 0;
    - `snr`, the signal-to-noise ratio of the batch: the rows are put into M groups of neighbours, of n_m rows each,
      with gradients g_m of the mean of t_b over the rows of a group, so that g = sum_m n_m g_m / B. With
      s^2 = sum_m n_m |g_m - g|^2 / (M - 1), the variance of the gradient of one datum summed over parameters,
      snr = |g| / (s / sqrt(B)); that of one datum is snr / sqrt(B). Where the true gradient is 0 the snr is about 1.
      What a row's draws of z add counts as noise of the row. A term that is one number has none, and neither has a loss
      that holds such a term; where t_b depends on other rows (batch norm, total correlation) it is the scatter of t_b
      as it is computed;
    - the cosine between the gradients of each pair of terms.

    Findings are sentences: a term whose graph was cut, that is constant or that reaches no parameter, a parameter that
    no term reaches; the first module whose output, or whose gradient on the way back, was not finite, with the rows of
    the batch and the columns of x. What is cut is judged in training mode only (an objective may leave a term out of
    its evaluation), and by all losses together: a way that one of them took counts.

    Gradients are taken apart by `torch.autograd.grad`: nothing is added to `.grad`, no random number is drawn, and
    training goes on as it would have, bit for bit. A loss that is read costs M backward passes for each term of [B],
    and one for the loss: for an ELBO on 128 rows of 784 pixels, hidden layers of 512 and 256, about 13 training steps
    of CPU time with M = 8, 5 with M = 1. When the context is left no hook is.

    Parameters
    ----------
    objective
        Or a single phase. Not a compiled one.
    columns
        Names of the columns of x, for the findings.
    row_groups
        M; 1 for no signal-to-noise ratios, at one backward pass a term.

    Raises
    ------
    ConfigError
        If the objective is no objective, is compiled, or there are fewer than 1 groups of rows.
    """

    def __init__(self, objective: nn.Module, columns: Sequence[str] | None = None, row_groups: int = 8) -> None:
        if isinstance(objective, Objective):
            self._phases = tuple(objective.phases)
        elif isinstance(objective, Phase):
            self._phases = (objective,)
        else:
            raise ConfigError(
                f"a tape takes an objective or a phase of one, but {type(objective).__name__} is neither; give e.g. "
                "nelbo.ELBO(model)"
            )
        if row_groups < 1:
            raise ConfigError(f"a tape puts rows into 1 group or more, but row_groups={row_groups} was given")
        self._columns = columns
        self._row_groups = row_groups
        self._names = Names(objective, self._phases)
        self._parameters = {phase: self._names.parameters(phase) for phase in self._phases}
        self._connections = {phase: Connections(phase, self._parameters[phase]) for phase in self._phases}
        self._broken: list[str] = []
        self._handles: list[RemovableHandle] = []
        self._trace: Trace | None = None
        self._batch: Batch | None = None
        self.readings: list[Reading] = []  # one a loss, in their order

    def __enter__(self) -> Self:
        if any(getattr(module, "_compiled_call_impl", None) is not None for module in self._names.modules()):
            raise ConfigError("a compiled objective cannot be taped; leave --compile (or .compile()) out meanwhile")
        for phase in self._phases:
            self._handles.append(phase.register_forward_pre_hook(self._before))
        for module, name in self._names.modules().items():
            if name:
                self._handles.append(module.register_forward_hook(partial(self._note, name)))
        for phase in self._phases:
            self._handles.append(phase.register_forward_hook(self._after))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        trace, batch = self._trace, self._batch
        if trace is not None and batch is not None:  # the phase raised before it had a loss
            self._say(broken_loss(trace, None, batch, self._columns))
        self._forget()

    @property
    def findings(self) -> list[str]:
        """What is wrong, one sentence each; empty for a healthy model."""
        said = list(self._broken)
        for phase, connections in self._connections.items():
            said += connections.sentences(f" of phase {phase.name!r}" if len(self._phases) > 1 else "")
        return said

    def summary(self) -> str:
        """The last reading of each phase as a table, then the findings."""
        last = {reading.phase: reading for reading in self.readings}
        lines = [table(reading) for reading in last.values()] or ["the tape saw no loss with a gradient"]
        return "\n".join([*lines, *(f"! {finding}" for finding in self.findings or ["no findings"])])

    def as_json(self) -> dict[str, Any]:
        """Every reading and the findings as plain JSON."""
        return {"readings": [reading.as_json() for reading in self.readings], "findings": self.findings}

    def _before(self, phase: nn.Module, arguments: tuple[Any, ...]) -> None:
        if arguments and isinstance(arguments[0], Batch):
            self._forget()
            self._batch = arguments[0]
            self._trace = Trace(len(arguments[0]))

    def _note(self, name: str, module: nn.Module, arguments: tuple[Any, ...], output: object) -> None:
        if self._trace is not None and not isinstance(output, Loss):
            self._trace.note(name, module, output)

    def _after(self, phase: nn.Module, arguments: tuple[Any, ...], loss: object) -> None:
        trace, batch = self._trace, self._batch
        if trace is None or batch is None or not isinstance(loss, Loss) or not isinstance(phase, Phase):
            return
        if broken := broken_loss(trace, loss, batch, self._columns):
            self._say(broken)
        elif torch.is_grad_enabled():
            with torch.autocast(batch.x.device.type, enabled=False):
                self._read(phase, loss, batch, trace)
        self._forget()

    def _read(self, phase: Phase, loss: Loss, batch: Batch, trace: Trace) -> None:
        rows = len(batch)
        owned = {name: found for name, found in self._parameters[phase].items() if found[1].requires_grad}
        names, groups = list(owned), [group for group, _ in owned.values()]
        parameters = [parameter for _, parameter in owned.values()]
        total: Gradients = [None] * len(parameters)
        if parameters and loss.loss.requires_grad:
            trace.follows_gradients = True
            total = gradient(loss.loss, parameters)
            trace.follows_gradients = False
        taken = take(loss, total, parameters, rows, self._row_groups)
        self._say(broken_gradient(trace, taken, names, batch))
        if phase.training:
            self._connections[phase].add(loss, taken, names)
        self.readings.append(read(phase.name, loss, taken, groups, [p.numel() for p in parameters], rows))

    def _say(self, sentence: str) -> None:
        if sentence and sentence not in self._broken:
            self._broken.append(sentence)

    def _forget(self) -> None:
        if self._trace is not None:
            self._trace.close()
        self._trace = self._batch = None
