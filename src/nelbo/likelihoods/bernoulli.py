"""The Bernoulli likelihood, for binary data."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from nelbo.core import Batch
from nelbo.data.spec import Kind
from nelbo.distributions.bernoulli import LogitBernoulli
from nelbo.likelihoods.elementwise import Elementwise
from nelbo.registry import register

FACTORS = 64  # 2^64 is far from float32's largest number
WORTH_IT = 8


@register("likelihood/bernoulli")
@final
class BernoulliLikelihood(Elementwise):
    """p(x given z) = Bernoulli(sigmoid(network(z))) for every cell; Kingma and Welling (2013), eq. 11.

    Reference measure: probability mass on {0, 1}.
    """

    fits: ClassVar = frozenset({Kind.BINARY})
    after: ClassVar = {Kind.BYTE: ("binarize",), Kind.LEVELS: ("binarize",), Kind.UNIT: ("binarize",)}
    density: ClassVar = False

    def __init__(self, network: nn.Module, shape: Sequence[int]) -> None:
        super().__init__(network, shape, parameters=1)

    def forward(self, z: Tensor, context: Tensor | None = None) -> LogitBernoulli:
        (logits,) = self.emit(z, context)
        return LogitBernoulli(logits)

    def mode(self, px: Distribution) -> Tensor:
        return px.mode

    def log_px(self, z: Tensor, batch: Batch) -> Tensor:
        """The generic sum with its sign taken after summing; for many draws of few rows x'l is a matrix product."""
        if batch.mask is not None or batch.log_jacobian is not None:
            return super().log_px(z, batch)
        draws, rows = z.shape[:2]
        context = None if batch.context is None else batch.context.repeat(draws, 1)
        logits = self.emit(z.flatten(0, 1), context)[0].view(draws, rows, -1)  # [K, B, P]
        x = batch.x.flatten(1)
        if draws < rows:
            x = x.expand(draws, -1, -1)
            return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
        agreement: Tensor = (logits.transpose(0, 1) @ x.unsqueeze(-1)).squeeze(-1)  # [B, K]
        return agreement.transpose(0, 1) - summed_softplus(logits)


def summed_softplus(logits: Tensor) -> Tensor:
    """sum_j log(1 + exp l_j) over the last dimension.

    Without gradients, as sum_j max(l_j, 0) + log prod_j (1 + exp(-|l_j|)), with products of as many factors as divide
    the dimension, up to 64, each between 1 and 2: one logarithm serves them all.
    """
    group = _largest_divisor(logits.shape[-1])
    if group < WORTH_IT or (torch.is_grad_enabled() and logits.requires_grad):
        return F.softplus(logits).sum(-1)
    factors = logits.abs().neg_().exp_().add_(1.0)
    products = factors.view(*logits.shape[:-1], -1, group).prod(-1)
    return logits.clamp(min=0.0).sum(-1) + products.log().sum(-1)


@functools.lru_cache
def _largest_divisor(size: int) -> int:
    return max(number for number in range(1, FACTORS + 1) if size % number == 0)
