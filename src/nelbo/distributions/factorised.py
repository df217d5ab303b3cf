"""Distributions that are a product over their dimensions."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Factorised(Protocol):
    """log p(z) = sum_d log p(z_d), with each term to be had by itself."""

    def log_prob_per_dimension(self, value: Tensor) -> Tensor:
        """log p(value_d), `[..., D] -> [..., D]`, nats."""


@runtime_checkable
class Correlated(Protocol):
    """A distribution that is no such product, but whose covariance is known."""

    @property
    def covariance(self) -> Tensor:
        """[..., D, D]."""
