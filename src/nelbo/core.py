"""The vocabulary: what a batch, a part, a model and an objective are.

A latent-variable model is *parts* (`Prior`, `Posterior`, `Likelihood`); a model puts parts together and emits
`Terms`; an `Objective` reduces `Terms` to a `Loss`. Everything is in nats per datum, summed over dimensions.

Shapes: K importance samples (or Monte Carlo draws), B data, D latent dimensions, C context features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

__all__ = [
    "Batch", "Bound", "Draw", "Gradient", "Likelihood", "Loss", "Model", "Objective",
    "Phase", "Posterior", "Prior", "SinglePhase", "Space", "Terms",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Batch:
    """B data, in their own units, with everything that belongs to the same rows."""

    x: Tensor  # [B, *event]  the data, in its own units
    x_in: Tensor | None = None  # what the posterior reads (corrupted, scaled, NaN for a hole); None = x
    mask: Tensor | None = None  # [B, *cells]  True = observed
    context: Tensor | None = None  # [B, C]  conditioned on
    label: Tensor | None = None  # [B]  modelled, -1 = missing
    log_jacobian: Tensor | None = None  # broadcasts to [B, *cells]
    index: Tensor | None = None  # [B]  row numbers in the data set

    @property
    def inputs(self) -> Tensor:
        """What the posterior reads: `x_in` where given, else `x`."""
        return self.x if self.x_in is None else self.x_in

    def __len__(self) -> int:
        return self.x.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """The same batch with every tensor on `device`."""
        return replace(self, **{name: value.to(device) for name, value in vars(self).items() if value is not None})

    def __getitem__(self, rows: slice) -> Batch:
        """A contiguous part of the rows."""
        jacobian = self.log_jacobian
        broadcasts = jacobian is not None and (jacobian.dim() < self.x.dim() or len(jacobian) == 1)
        whole = {"log_jacobian"} if broadcasts else set()
        parts = {n: value[rows] for n, value in vars(self).items() if value is not None and n not in whole}
        return replace(self, **parts)


class Draw(Enum):
    """How z is drawn, and with it what the gradient of log q(z given x) means."""

    PATHWISE = "pathwise"  # reparameterised: gradients flow through z
    STOPPED = "stopped"  # reparameterised, but q's parameters are constants inside log q (DReG, STL)
    SCORE = "score"  # z is a constant; gradients flow through log q only


@dataclass(frozen=True, eq=False)
class Terms:
    """What a model says about a batch: K draws by B data, event dimensions summed, in nats.

    Either `kl` is filled (closed form) or `log_pz` and `log_qz` are, never both: nothing is computed
    that the objective does not read.
    """

    z: Tensor  # [K, B, D]
    log_px: Tensor  # [K, B]
    q: Distribution
    log_pz: Tensor | None = None  # [K, B]  None where there is no density
    log_qz: Tensor | None = None  # [K, B]
    kl: Tensor | None = None  # [G, K or 1, B]  closed form (in part, if K), per latent dimension, group or layer
    log_r: Tensor | None = None  # [K, B]  log sample weights, default -log K
    penalties: Mapping[str, Tensor] = field(default_factory=dict)  # in the loss, never in the bound
    p: Distribution | None = None  # the prior, for what compares draws of it with codes

    @property
    def log_weights(self) -> Tensor:
        """log w = log p(x given z) + log p(z) - log q(z given x), shape [K, B].

        Raises
        ------
        ValueError
            If the densities were not asked for (`analytic=True`) or do not exist.
        """
        if self.log_pz is None or self.log_qz is None:
            raise ValueError("these terms hold no densities: ask the model for terms(..., analytic=False)")
        return self.log_px + self.log_pz - self.log_qz


@dataclass(frozen=True, eq=False)
class Loss:
    """What one step minimises, and what it honestly measured."""

    loss: Tensor  # scalar to minimise, nats per datum
    bound: Tensor | None  # [B] detached, at beta = 1; None where the objective is not a bound
    parts: Mapping[str, Tensor]  # [B] or [], attached; their means sum to loss
    figures: Mapping[str, Tensor] = field(default_factory=dict)  # [B] or [], detached: without weights, to be read


class Space(StrEnum):
    """What latents are; a prior and a posterior must agree on it."""

    REAL = "real vectors"
    STICKS = "sticks between 0 and 1"
    SPHERE = "unit vectors"
    RELAXED = "relaxed one-hot codes"
    ONE_HOT = "one-hot codes"
    RELAXED_BINARY = "relaxed binary codes"
    BINARY = "binary codes"
    POSITIVE = "positive vectors"
    SIMPLEX = "points of the simplex"


class Prior(nn.Module, ABC):
    """p(z): called with the context and the posterior it serves, returns a distribution over z."""

    space: ClassVar[Space] = Space.REAL
    needs_variance: ClassVar[bool] = True  # -log p(z), or log p(x given z), may grow as |z|^2 and needs E|z|^2 under q

    @abstractmethod
    def forward(self, context: Tensor | None = None, posterior: Posterior | None = None) -> Distribution: ...

    if TYPE_CHECKING:  # a module returns Any

        def __call__(self, context: Tensor | None = None, posterior: Posterior | None = None) -> Distribution: ...

    def code(self, z: Tensor) -> Tensor:
        """What the decoder reads of z, `[..., D] -> [..., D]`; z itself unless the prior says otherwise."""
        return z


class Posterior(nn.Module, ABC):
    """q(z given x), the recognition model: reads data, returns a distribution over z with event shape [D]."""

    space: ClassVar[Space] = Space.REAL
    has_density: ClassVar[bool] = True
    has_variance: ClassVar[bool] = True
    can_stop: ClassVar[bool] = True  # whether q can hold its parameters constant inside log q (Draw.STOPPED)
    is_reparameterised: ClassVar[bool] = True  # draws have a gradient; where not, a score function stands in for it

    @classmethod
    def outputs(cls, dim: int) -> int:
        """How many network outputs D latent dimensions need; options that change it are further keyword arguments."""
        return 2 * dim

    @abstractmethod
    def forward(self, x: Tensor, context: Tensor | None = None) -> Distribution: ...

    if TYPE_CHECKING:  # a module returns Any

        def __call__(self, x: Tensor, context: Tensor | None = None) -> Distribution: ...


class Likelihood(nn.Module, ABC):
    """p(x given z), the decoder: reads z [N, D], returns an elementwise distribution over x, [N, *event].

    `cells` is the shape of what can be missing: pixels of a coupled RGB image, columns of a table; for an
    elementwise likelihood it equals the event shape.
    """

    cells: tuple[int, ...]

    @abstractmethod
    def forward(self, z: Tensor, context: Tensor | None = None) -> Distribution: ...

    if TYPE_CHECKING:  # a module returns Any

        def __call__(self, z: Tensor, context: Tensor | None = None) -> Distribution: ...

    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        """log p(x given z) of each draw, `[K, B, D] -> [K, B]`, in nats, in the units of the user's data.

        Cells are summed after the log-Jacobian of the data's transform is added and missing cells are
        removed (by `torch.where`: 0 times infinity is NaN, and so is its gradient).
        """
        draws, rows = z.shape[0], z.shape[1]
        context = None if batch.context is None else batch.context.repeat(draws, 1)
        px = self(z.flatten(0, 1), context)
        x = batch.x if draws == 1 else batch.x.repeat(draws, *(1,) * (batch.x.dim() - 1))
        cells = px.log_prob(x)
        cells = cells.view(draws, rows, *cells.shape[1:])
        return sum_cells(cells, batch, len(self.cells))

    @abstractmethod
    def mode(self, px: Distribution) -> Tensor:
        """The most probable x of each cell, in the data's own units, a legal value of the data's kind."""


def sum_cells(log_prob: Tensor, batch: Batch, cell_dims: int) -> Tensor:
    """Sum elementwise log-densities `[K, B, *cells]` to `[K, B]`: add the log-Jacobian, drop missing cells."""
    if batch.log_jacobian is not None:
        log_prob = log_prob + batch.log_jacobian
    if batch.mask is not None:
        log_prob = torch.where(batch.mask, log_prob, 0.0)
    return log_prob.flatten(-cell_dims).sum(-1)


class Model(nn.Module, ABC):
    """Parts put together: emits `Terms`, encodes, decodes, samples, scores a given z."""

    groups: Mapping[str, slice]  # named slices of z

    @abstractmethod
    def encode(self, batch: Batch) -> Distribution:
        """q(z given x), joint over the concatenated z: batch shape [B], event shape [D]."""

    @abstractmethod
    def decode(self, z: Tensor, context: Tensor | None = None) -> Distribution:
        """p(x given z) for z [N, D]: an elementwise distribution over x, [N, *event]."""

    @abstractmethod
    def sample(self, n: int, context: Tensor | None = None) -> Distribution:
        """p(x given z) at n draws of z from the prior (n per context row)."""

    @abstractmethod
    def terms(self, batch: Batch, samples: int = 1, draw: Draw = Draw.PATHWISE, analytic: bool = False) -> Terms: ...

    @abstractmethod
    def log_joint(self, batch: Batch, z: Tensor) -> Tensor:
        """log p(x, z) of given latents, `[K, B, D] -> [K, B]`."""


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


class Objective(nn.Module, ABC):
    """A way to fit a model: one or more phases, each a child; the first owns the model and is what is validated."""

    @property
    @abstractmethod
    def phases(self) -> Sequence[Phase]: ...


class SinglePhase(Objective, Phase):
    """An objective with one loss, which is its own only phase."""

    name = "main"

    @property
    def phases(self) -> Sequence[Phase]:
        return (self,)
