"""A likelihood per column of a table: each kind of column scored by what fits it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, cast, final

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.core import Batch, Likelihood
from nelbo.data.spec import Kind
from nelbo.distributions.by_column import ByColumn
from nelbo.errors import CompositionError
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.networks.mlp import apply
from nelbo.networks.precision import full_precision
from nelbo.registry import register

__all__ = ["Given", "MixedLikelihood"]


@register("outputs/given")
@final
class Given(nn.Module):
    """The features themselves: the network of a likelihood that is handed its share of another network's outputs."""

    def __init__(self, out_features: int) -> None:
        super().__init__()
        self.out_features = out_features

    def forward(self, features: Tensor) -> Tensor:
        return features


@register("likelihood/mixed")
@final
class MixedLikelihood(Likelihood):
    r"""log p(x given z) = sum over groups g of log p_g(x_g given z): each kind of column has a likelihood of its own.

    One network emits the parameters of all groups, [N, sum_g P_g]; group g reads its P_g of them. Columns of 0 and 1
    are Bernoulli, levels and codes categorical (with the levels of the whole table, so that one which only held-out
    rows have is no surprise), ordered codes ordinal, counts negative binomial, real columns Gaussian, positive ones
    log-normal, fractions continuous Bernoulli. Written `mixed:ordinal=grade+stars,student=income`, the columns
    named take the likelihood named; the others keep that of their kind.

    Reference measure: mixed. Probability mass on the discrete columns times Lebesgue density, in the data's own units,
    on the continuous ones; it compares with figures under the same measure only.

    Parameters
    ----------
    network
        Emits [N, sum_g P_g].
    shape
        (D,), the columns of the table.
    parts
        A likelihood for each group, whose own network is `Given(P_g)`.
    columns
        The columns of each group; together each of 0 .. D-1 once.

    Raises
    ------
    CompositionError
        If the groups are not a partition of the columns, or the network emits another number of features.

    References
    ----------
    Nazabal et al. (2020), Handling incomplete heterogeneous data using VAEs, arXiv:1807.03653 (without its
    discrete latents).
    """

    fits: ClassVar = frozenset({Kind.MIXED})
    after: ClassVar[Mapping[Kind, tuple[str, ...]]] = {}
    density: ClassVar = True  # in part: what is not a mass throughout

    order: Tensor

    def __init__(
        self,
        network: nn.Module,
        shape: Sequence[int],
        parts: Sequence[Elementwise],
        columns: Sequence[Sequence[int]],
    ) -> None:
        super().__init__()
        order = [place for group in columns for place in group]
        whole = len(shape) == 1 and sorted(order) == list(range(shape[0]))
        if not whole or [part.cells for part in parts] != [(len(group),) for group in columns]:
            raise CompositionError(
                f"the groups of a mixed likelihood must share out each of the columns 0..D-1 of a table, but shape "
                f"{tuple(shape)} was given with groups {[list(group) for group in columns]} for likelihoods over "
                f"{[part.cells for part in parts]}; give each column to one group, and each group a likelihood of its "
                "size"
            )
        self.network = network
        self.cells = tuple(shape)
        self.parts = nn.ModuleList(parts)
        self._columns = [len(group) for group in columns]
        self._outputs = [part.parameters_per_cell * len(group) for part, group in zip(parts, columns, strict=True)]
        needed = sum(self._outputs)
        emitted = getattr(network, "out_features", needed)
        if emitted != needed:
            raise CompositionError(
                f"these columns need a network with {needed} outputs ({self._outputs}, group by group), but this one "
                f"has {emitted}"
            )
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, z: Tensor, context: Tensor | None = None) -> ByColumn:
        features = torch.split(self._features(z, context), self._outputs, -1)
        return ByColumn([part(own) for part, own in zip(self._parts(), features, strict=True)], self.order)

    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        """The sum over groups, each by its own rule (one with a variance in closed form learns it on the way)."""
        context = None if batch.context is None else batch.context.repeat(z.shape[0], 1)
        emitted = self._features(z.flatten(0, 1), context).view(*z.shape[:2], -1)
        features = torch.split(emitted, self._outputs, -1)
        groups = zip(self._parts(), features, self._shares(batch), strict=True)
        return torch.stack([part.log_px(own, share) for part, own, share in groups]).sum(0)

    def mode(self, px: Distribution) -> Tensor:
        assert isinstance(px, ByColumn)
        return px.joined([part.mode(own) for part, own in zip(self._parts(), px.parts, strict=True)])

    def _features(self, z: Tensor, context: Tensor | None) -> Tensor:
        return full_precision(apply(self.network, z, context))

    def _parts(self) -> Iterator[Elementwise]:
        return iter(cast("Sequence[Elementwise]", self.parts))

    def _shares(self, batch: Batch) -> Iterator[Batch]:
        """The batch, as each group sees it; what depends on z and context has been computed already."""
        plain = replace(batch, x_in=None, context=None)
        if plain.log_jacobian is not None:
            plain = replace(plain, log_jacobian=plain.log_jacobian.expand(plain.x.shape))
        cut = {
            name: torch.split(value.index_select(-1, self.order), self._columns, -1)
            for name in ("x", "mask", "log_jacobian")
            if (value := getattr(plain, name)) is not None
        }
        return (replace(plain, **{name: pieces[g] for name, pieces in cut.items()}) for g in range(len(self._columns)))
