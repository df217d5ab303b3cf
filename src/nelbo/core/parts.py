"""The parts of a model: prior, posterior and likelihood, each a module that returns a distribution."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.core.batch import Batch, sum_cells

__all__ = ["Likelihood", "Posterior", "Prior", "Space"]


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
    elementwise likelihood it equals the event shape. `density` says whether `log_px` is a density or a mass.
    """

    cells: tuple[int, ...]
    density: ClassVar[bool]

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
