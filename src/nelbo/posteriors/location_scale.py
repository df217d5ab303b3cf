"""Posteriors of independent Laplace, logistic or Student's t latents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor, nn

from nelbo.core import Posterior, full_precision
from nelbo.distributions.location_scale import DiagonalLaplace, DiagonalLogistic, DiagonalStudentT, LocationScale
from nelbo.distributions.normal import LogVariance
from nelbo.errors import ConfigError
from nelbo.networks.mlp import apply
from nelbo.posteriors.sizes import check_outputs
from nelbo.registry import register


class LocationScalePosterior(Posterior, ABC):
    """q(z given x) = prod_d f((z_d - m_d(x)) / s_d(x)) / s_d(x), z = m(x) + s(x) t with t ~ f.

    The first of the ways to reparameterise in Kingma and Welling (2013), section 2.4 (location-scale).

    Parameters
    ----------
    network
        Emits [N, 2 D]: locations m, then raw 2 log s.
    dim
        D.
    min_log_variance
        Smooth lower bound of 2 log s.
    """

    def __init__(self, network: nn.Module, dim: int, min_log_variance: float = -14.0) -> None:
        super().__init__()
        check_outputs(f"a {self.family} posterior", network, dim, self.outputs(dim))
        self.network = network
        self.dim = dim
        self.log_variance = LogVariance(min_log_variance)

    @property
    @abstractmethod
    def family(self) -> str:
        """Its name in a sentence."""

    @abstractmethod
    def law(self, loc: Tensor, log_scale: Tensor) -> LocationScale:
        """The distribution of these parameters, each [N, D]."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> LocationScale:
        loc, raw = full_precision(apply(self.network, x, context)).chunk(2, -1)
        return self.law(loc, 0.5 * self.log_variance(raw))


@register("posterior/laplace")
@final
class LaplacePosterior(LocationScalePosterior):
    """q(z given x) = prod_d exp(-abs(z_d - m_d) / s_d) / (2 s_d); Kingma and Welling (2013), section 2.4."""

    family = "Laplace"

    def law(self, loc: Tensor, log_scale: Tensor) -> DiagonalLaplace:
        return DiagonalLaplace(loc, log_scale)


@register("posterior/logistic")
@final
class LogisticPosterior(LocationScalePosterior):
    """q(z given x) = prod_d exp(-t_d) / (s_d (1 + exp(-t_d))^2), t = (z - m) / s; Kingma and Welling (2013)."""

    family = "logistic"

    def law(self, loc: Tensor, log_scale: Tensor) -> DiagonalLogistic:
        return DiagonalLogistic(loc, log_scale)


@register("posterior/student-t")
@final
class StudentTPosterior(LocationScalePosterior):
    """q(z given x) = prod_d t_n((z_d - m_d) / s_d) / s_d, Student's t; Kingma and Welling (2013), section 2.4.

    Parameters
    ----------
    network
        Emits [N, 2 D]: locations m, then raw 2 log s.
    dim
        D.
    freedom
        n, the degrees of freedom, above 2; the fewer, the heavier the tails.
    min_log_variance
        Smooth lower bound of 2 log s.
    """

    family = "Student-t"

    def __init__(self, network: nn.Module, dim: int, freedom: float = 5.0, min_log_variance: float = -14.0) -> None:
        super().__init__(network, dim, min_log_variance)
        if not freedom > 2:
            raise ConfigError(
                f"a Student-t posterior needs more than 2 degrees of freedom, below which it has no variance, but "
                f"{freedom} was given; use e.g. --posterior student-t:freedom=5"
            )
        self.freedom = float(freedom)

    def law(self, loc: Tensor, log_scale: Tensor) -> DiagonalStudentT:
        return DiagonalStudentT(loc, log_scale, self.freedom)
