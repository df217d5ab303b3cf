"""The Bernoulli likelihood, for binary data."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.core import Batch
from nelbo.data.spec import Kind
from nelbo.data.start import StartsFromData
from nelbo.distributions.bernoulli import LogitBernoulli
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.networks.mlp import apply
from nelbo.networks.precision import full_precision
from nelbo.registry import register

FACTORS = 64  # 2^-64 is far from float32's smallest number
RAREST = 1e-3  # mean of a cell that starts at the mean; Burda's code bounds it likewise


@register("likelihood/bernoulli")
@final
class BernoulliLikelihood(Elementwise, StartsFromData):
    """p(x given z) = Bernoulli(sigmoid(network(z) + offset)) for every cell.

    Reference measure: probability mass on {0, 1}.

    Parameters
    ----------
    network
        From z to a logit for every cell.
    shape
        Of x.
    start
        "network": no offset. "mean": the offset is the logit of each cell's mean over the training rows, so that the
        first steps need not learn it; worth some nats where epochs are few and most cells are nearly always 0.

    References
    ----------
    Kingma and Welling (2013), Auto-encoding variational Bayes, arXiv:1312.6114, eq. 11.
    """

    fits: ClassVar = frozenset({Kind.BINARY})
    after: ClassVar = {Kind.BYTE: ("binarize",), Kind.LEVELS: ("binarize",), Kind.UNIT: ("binarize",)}
    density: ClassVar = False

    offset: Tensor | None

    def __init__(self, network: nn.Module, shape: Sequence[int], start: Literal["network", "mean"] = "network") -> None:
        super().__init__(network, shape, parameters=1)
        self.register_buffer("offset", torch.zeros(self.shape) if start == "mean" else None)

    @property
    def starts_from_data(self) -> bool:
        return self.offset is not None

    def start_from(self, batch: Batch) -> None:
        if self.offset is not None:
            self.offset.copy_(batch.x.float().mean(0).clamp(RAREST, 1 - RAREST).logit())

    def forward(self, z: Tensor, context: Tensor | None = None) -> LogitBernoulli:
        (logits,) = self.emit(z, context)
        return LogitBernoulli(logits if self.offset is None else logits + self.offset)

    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        """sum_j x_j l_j - log(1 + exp l_j) of the logits l, in fewer passes over them than cell by cell."""
        if batch.mask is not None or batch.log_jacobian is not None:
            return super().log_px(z, batch)
        draws, rows = z.shape[:2]
        context = None if batch.context is None else batch.context.repeat(draws, 1)
        logits = full_precision(apply(self.network, z.flatten(0, 1), context)).flatten(1)  # [K B, P]
        if self.offset is not None:
            logits = logits + self.offset.flatten()
        x = batch.x.flatten(1)
        if logits.requires_grad:
            if draws == 1:
                return ((logits * x).sum(-1) - F.softplus(logits).sum(-1)).unsqueeze(0)
            logits = logits.view(draws, rows, -1)
            return (logits * x).sum(-1) - F.softplus(logits).sum(-1)
        logits = logits.view(draws, rows, -1)
        agreement = _agreement(logits, x - 0.5)
        # The sum with an offset is nobody else's; a network may hand out its input as its output.
        return agreement - _half_normaliser(logits.abs() if self.offset is None else logits.abs_())


def _agreement(logits: Tensor, signs: Tensor) -> Tensor:
    """sum_j s_j l_j, [K, B, P] and [B, P] -> [K, B]; for many draws of few rows a product of matrices."""
    if len(logits) < len(signs):
        return (logits * signs).sum(-1)
    agreement: Tensor = (logits.transpose(0, 1) @ signs.unsqueeze(-1)).squeeze(-1)  # [B, K]
    return agreement.transpose(0, 1)


def _half_normaliser(sizes: Tensor) -> Tensor:
    """sum_j log(exp(l_j / 2) + exp(-l_j / 2)) over the last dimension, from the sizes abs(l_j), which are used up.

    This is sum_j abs(l_j) / 2 - log sigmoid(abs(l_j)), without gradients; the sigmoids are between 1/2 and 1, so that
    one logarithm serves a product of as many of them as divide the dimension, up to 64.
    """
    group = _largest_divisor(sizes.shape[-1])
    half = 0.5 * sizes.sum(-1)
    products = sizes.sigmoid_().view(*sizes.shape[:-1], -1, group).prod(-1) if group > 1 else sizes.sigmoid_()
    return half - products.log().sum(-1)


@functools.lru_cache
def _largest_divisor(size: int) -> int:
    return max(number for number in range(1, FACTORS + 1) if size % number == 0)
