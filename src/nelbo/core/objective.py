"""How a model is fitted: bounds, gradient estimators, and objectives of one or more phases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn

from nelbo.core.batch import Batch
from nelbo.core.model import Model
from nelbo.core.terms import Draw, Loss, Terms

__all__ = ["Bound", "Gradient", "Objective", "Phase", "SinglePhase", "Solver"]


class Bound(ABC):
    """From log importance weights [K, B] to a value [B]."""

    @abstractmethod
    def __call__(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor: ...

    @abstractmethod
    def slopes(self, log_w: Tensor, log_r: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """c = d bound / d log w of each draw, and d log c / d log w of the same draw, [K, B] each."""

    def own(self, log_w: Tensor, log_r: Tensor | None = None) -> Tensor:
        """The value less terms that a draw has no part in, for each draw [K, B]: all of it, or its term of a sum."""
        return self(log_w, log_r).expand_as(log_w)


class Gradient(nn.Module, ABC):
    """A gradient estimator: a surrogate [B] whose gradient estimates that of the bound of `log_w` [K, B]."""

    draw: Draw

    @abstractmethod
    def forward(self, bound: Bound, log_w: Tensor, terms: Terms, batch: Batch) -> Tensor: ...

    if TYPE_CHECKING:  # a module returns Any

        def __call__(self, bound: Bound, log_w: Tensor, terms: Terms, batch: Batch) -> Tensor: ...


class Phase(nn.Module, ABC):
    """One loss, one owner, one optimiser; its registered children are what it owns and trains."""

    name: str
    every: int = 1  # steps
    optimiser: str | None = None  # of its own, and its learning rate; else those of the run
    lr: float | None = None
    reads_labels: bool = False  # batches carry none for an objective that reads none
    may_be_constant: frozenset[str] = frozenset()  # parts that may reach no parameter, and nothing is wrong

    @abstractmethod
    def forward(self, batch: Batch) -> Loss: ...

    if TYPE_CHECKING:  # a module returns Any

        def __call__(self, batch: Batch) -> Loss: ...

    def warm_up(self, share: float) -> Mapping[str, float]:
        """Set the weights that a warm-up moves to this share of their final values; those weights, by name."""
        return {}


class Solver(ABC):
    """A way to fit a model without gradient steps: an eigendecomposition, EM, coordinate ascent."""

    @abstractmethod
    def fit(self, model: Model, rows: Callable[[], Iterable[Batch]], progress: Callable[[float], None]) -> None:
        """Set the weights of the model from all rows, which may be asked for as often as wanted.

        Parameters
        ----------
        progress
            Told the share of the work that is done, 0 to 1.

        Raises
        ------
        CompositionError
            If the model is not one that it can fit.
        """


class Objective(nn.Module, ABC):
    """A way to fit a model: one or more phases, each a child that owns what it trains, or a solver."""

    model: Model  # that is fitted; a child of the phase that trains it
    solver: Solver | None = None  # takes the place of gradient steps

    def knows(self, model: Model) -> None:
        """Know the model without owning it a second time: it is a child of a phase."""
        object.__setattr__(self, "model", model)

    @property
    @abstractmethod
    def phases(self) -> Sequence[Phase]:
        """In the order of a step; the first is the main one, whose weights a warm-up moves."""

    @property
    @abstractmethod
    def validated(self) -> Phase | None:
        """The phase whose loss on held-out rows decides which weights are kept; None to keep the last ones."""


class SinglePhase(Objective, Phase):
    """An objective with one loss, which is its own only phase."""

    name = "main"

    @property
    def phases(self) -> Sequence[Phase]:
        return (self,)

    @property
    def validated(self) -> Phase:
        return self
