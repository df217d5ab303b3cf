"""What is wrong with a loss, as sentences with a remedy: what is disconnected, and what broke first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from nelbo.core import Batch, Loss, Phase
from nelbo.train.tape.readings import LOSS, Gradients, Taken, disagreement
from nelbo.train.tape.trace import Output, Trace, bad_columns, bad_rows, finite_rows, listing

APART = 0.02  # of the gradient of a loss from the sum of its terms', as a share of their norms; bf16 rounds to 0.4 %
LOWER = "lower the learning rate (--lr) or clip gradients (--clip 100)"


@final
@dataclass
class Term:
    """What is known of one term after some losses."""

    values: set[float] = field(default_factory=set)  # its means
    varies: bool = False  # over rows
    has_graph: bool = False
    reaches: bool = False  # a parameter of its phase
    moves: bool = False  # its gradient is not 0 everywhere, or its value is


@final
class Connections:
    """What the losses of a phase reached so far; a way that any of them took counts.

    Parameters
    ----------
    phase
        Its parameters are those that should be reached.
    parameters
        The parameters by name, each with its group.
    """

    def __init__(self, phase: Phase, parameters: Mapping[str, tuple[str, nn.Parameter]]) -> None:
        self._phase = phase
        self._frozen = [name for name, (_, p) in parameters.items() if not p.requires_grad]
        self._missed = {name for name, (_, p) in parameters.items() if p.requires_grad}
        self._group = {name: group for name, (group, _) in parameters.items()}
        self._terms: dict[str, Term] = {}
        self._loss = Term()
        self._apart = 0.0
        self._losses = 0

    def add(self, loss: Loss, taken: Taken, names: Sequence[str]) -> None:
        """Count a loss; `names` are those of the parameters of what was taken."""
        self._losses += 1
        for name, part in loss.parts.items():
            _count(self._terms.setdefault(name, Term()), part, taken.of_terms.get(name))
        _count(self._loss, loss.loss, taken.total)
        found = [taken.total, *taken.of_terms.values()]
        self._missed -= {name for i, name in enumerate(names) if any(each[i] is not None for each in found)}
        self._apart = max(self._apart, disagreement(taken))

    def sentences(self, of_phase: str) -> list[str]:
        """The findings; `of_phase` names the phase where there are several."""
        if not self._losses:
            return []
        said = [sentence for name, term in self._terms.items() if (sentence := self._of_term(name, term, of_phase))]
        if not self._loss.has_graph:
            said.append(
                f"the loss{of_phase} has no graph, so nothing trains; compute it from the parts without detach, "
                ".item() or torch.no_grad()"
            )
            return said
        said += self._of_parameters(of_phase)
        if self._apart > APART:
            said.append(
                f"the gradients of the parts{of_phase} do not add up to that of the loss (apart by {self._apart:.0%} "
                "of their norms): a term is in one and not, or detached, in the other; let the loss be the sum of the "
                "means of its parts"
            )
        return said

    def _of_term(self, name: str, term: Term, of_phase: str) -> str:
        if name in self._phase.may_be_constant:
            return ""
        said = f"term {name!r}{of_phase}"
        from_model = "compute it from tensors that parameters made, such as those of the posterior"
        if not term.has_graph and not term.varies and len(term.values) == 1:
            return (
                f"{said} is the same number in every row, {min(term.values):.4g}, and reaches no parameter: a "
                f"constant, or cut from its graph (detach, .item() or NumPy on the way); {from_model}, or leave it out "
                "of the loss, which it does not train"
            )
        if not term.has_graph:
            return f"{said} reaches no parameter: its graph was cut (detach, .item() or NumPy on the way); {from_model}"
        if not term.reaches:
            return (
                f"{said} reaches no parameter that its phase trains: its graph leads to frozen parameters or to "
                "tensors that were detached further up; look for detach, torch.no_grad() and requires_grad_(False)"
            )
        if not term.moves:
            return (
                f"{said} has a gradient of exactly zero everywhere: it is held constant by a clamp, a rounding, a "
                "comparison or a weight of 0; widen what holds it, or leave it out of the loss"
            )
        return ""

    def _of_parameters(self, of_phase: str) -> list[str]:
        said = []
        for names, what, remedy in (
            (
                self._missed,
                "reached by no term of the loss{}, so they stay as they are; use what they compute in a term, without "
                "detach or torch.no_grad() on the way",
                "leave them out of what the phase registers",
            ),
            (
                set(self._frozen),
                "frozen (requires_grad is off), though the phase{} owns them; call requires_grad_(True)",
                "hold them unregistered if they are only read",
            ),
        ):
            for group in dict.fromkeys(self._group.values()):
                every = [name for name, of in self._group.items() if of == group]
                bad = [name for name in every if name in names]
                if bad:
                    which = f"all {len(every)}" if len(bad) == len(every) > 1 else f"{len(bad)} of {len(every)}"
                    said.append(
                        f"{group}: {which} parameters ({listing(bad, 4)}) are {what.format(of_phase)}, or {remedy}"
                    )
        return said


def _count(term: Term, value: Tensor, found: Gradients | None) -> None:
    term.values.add(float(value.detach().mean()))
    term.varies |= value.dim() > 0 and bool((value.detach() != value.detach().flatten()[0]).any())
    term.has_graph |= value.requires_grad
    reached = [gradient for gradient in found or () if gradient is not None]
    term.reaches |= bool(reached)
    # A weight of 0, as at the start of a warm-up, makes the value and the gradient 0.
    term.moves |= not bool((value.detach() != 0).any()) or any(bool((gradient != 0).any()) for gradient in reached)


def broken_loss(trace: Trace, loss: Loss | None, batch: Batch, columns: Sequence[str] | None) -> str:
    """What made a loss non-finite (or none come at all), in a sentence; empty where every number is finite."""
    terms = {} if loss is None else {**loss.parts, LOSS: loss.loss}
    flags = {name: finite_rows(part.detach(), len(batch)) for name, part in terms.items()}
    bad = [name for name, flag in flags.items() if not bool(flag.all())]
    first = trace.first_output()
    if not bad and (loss is not None or first is None):
        return ""
    named = [name for name in bad if name != LOSS]
    of_terms = [f"term {name!r} is not finite{_in_rows(bad_rows(flags[name]), batch)}" for name in named]
    if first is not None:
        what = f" ({first.what})" if first.what else ""
        said = f"{first.module} gave the first non-finite output{what}{_in_rows(first.rows, batch)}"
        return f"{'; '.join([said + _of_columns(batch, columns), *of_terms])}; {_remedy(first, batch)}"
    if named:
        said = "; ".join([f"{of_terms[0]}{_of_columns(batch, columns)}", *of_terms[1:]])
        return (
            f"{said}; all modules gave finite outputs, so look in the formula of that term (log of 0, a large exp, "
            "division by 0)"
        )
    return "the loss is not finite though all of its parts are; let it be the sum of their means"


def broken_gradient(trace: Trace, taken: Taken, names: Sequence[str], batch: Batch) -> str:
    """What made the gradient of a finite loss non-finite, in a sentence; empty where it is finite."""
    if all(bool(torch.isfinite(g).all()) for g in taken.total if g is not None):
        return ""
    guilty = [
        repr(term)
        for term, found in taken.of_terms.items()
        if not all(bool(torch.isfinite(g).all()) for g in found if g is not None)
    ]
    of = f" of {'term' if len(guilty) == 1 else 'terms'} {listing(guilty)}" if guilty else ""
    first = trace.first_gradient()
    if first is None:
        bad = next(n for n, g in zip(names, taken.total, strict=True) if g is not None and not torch.isfinite(g).all())
        where = f"the gradient{of} is first seen not to be at parameter {bad}"
    else:
        where = f"{first.module} was handed the first non-finite gradient{of}{_in_rows(first.rows, batch)}"
    return (
        f"the loss is finite but its gradient is not: {where}; look at what is computed from there on (square root or "
        f"log at 0, division by a number near 0, torch.where around an infinity), or {LOWER}"
    )


def _in_rows(rows: Sequence[int], batch: Batch) -> str:
    if not rows:
        return ""
    if len(rows) == len(batch):
        return " in every row of the batch"
    where = f" in row{'s' if len(rows) > 1 else ''} {listing(rows)} of the batch"
    if batch.index is None or batch.index.shape != (len(batch),):
        return where
    return f"{where} ({listing(batch.index[list(rows)].tolist())} of the data)"


def _of_columns(batch: Batch, columns: Sequence[str] | None) -> str:
    """The cells of the batch itself that are not finite."""
    _, cells = bad_columns(batch)
    if not cells:
        return ""
    flat = all(len(cell) == 1 for cell in cells)
    names = [repr(columns[c]) if columns and c < len(columns) else str(c) for (c,) in cells] if flat else cells
    return f" ({'column' if flat else 'cell'}{'s' if len(cells) > 1 else ''} {listing(names)})"


def _remedy(first: Output, batch: Batch) -> str:
    own = [n for n, p in first.owner.named_parameters(recurse=False) if not bool(torch.isfinite(p).all())]
    if own:
        return f"its parameter {own[0]!r} holds NaN or infinity from an update before; {LOWER}"
    rows, _ = bad_columns(batch)
    if rows:
        return (
            f"the batch itself holds NaN or infinity there{_in_rows(rows, batch)}; fill those cells, or drop the rows "
            "or columns"
        )
    return f"bound what it puts out, or {LOWER}"
