"""Posteriors of independent Laplace, logistic, Student's t, Cauchy or Gumbel latents."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import final

from torch import Tensor, nn

from nelbo.distributions.location_scale import (
    DiagonalCauchy,
    DiagonalGumbel,
    DiagonalLaplace,
    DiagonalLogistic,
    DiagonalStudentT,
    LocationScale,
)
from nelbo.distributions.normal import LogVariance
from nelbo.errors import ConfigError
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register


class LocationScalePosterior(Amortised, ABC):
    """q(z given x) = prod_d f((z_d - m_d(x)) / s_d(x)) / s_d(x), z = m(x) + s(x) t with t ~ f.

    The second of the ways to reparameterise in Kingma and Welling (2013), section 2.4 (location-scale); t itself is
    made by its inverse CDF, the first of them, where it has one.

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
        super().__init__(f"a {self.family} posterior", network, dim, self.outputs(dim))
        self.log_variance = LogVariance(min_log_variance)

    @property
    @abstractmethod
    def family(self) -> str:
        """Its name in a sentence."""

    @abstractmethod
    def law(self, loc: Tensor, log_scale: Tensor) -> LocationScale:
        """The distribution of these parameters, each [N, D]."""

    def forward(self, x: Tensor, context: Tensor | None = None) -> LocationScale:
        loc, raw = self.emit(x, context).chunk(2, -1)
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


@register("posterior/cauchy")
@final
class CauchyPosterior(LocationScalePosterior):
    """q(z given x) = prod_d 1 / (pi s_d (1 + t_d^2)), t = (z - m) / s = tan(pi (u - 1/2)), the inverse CDF at u.

    Its tails are too heavy for a mean: its KL to a Gaussian is infinite, and so is the mean of any log-likelihood that
    grows with z. It goes with the prior `cauchy`, to which its KL has a closed form and under which the decoder reads
    asinh(z). Where one code is asked for it is m, the median.

    References
    ----------
    Kingma and Welling (2013), Auto-encoding variational Bayes, arXiv:1312.6114, section 2.4; the KL: Chyzak and Nielsen
    (2019), arXiv:1905.10965.
    """

    family = "Cauchy"
    has_variance = False

    def law(self, loc: Tensor, log_scale: Tensor) -> DiagonalCauchy:
        return DiagonalCauchy(loc, log_scale)


@register("posterior/gumbel")
@final
class GumbelPosterior(LocationScalePosterior):
    """q(z given x) = prod_d exp(-t_d - exp(-t_d)) / s_d, t = (z - m) / s = -log(-log u), the inverse CDF at u.

    Skewed to the right: mode m, mean m + 0.577 s, variance (pi s)^2 / 6.

    References
    ----------
    Kingma and Welling (2013), Auto-encoding variational Bayes, arXiv:1312.6114, section 2.4.
    """

    family = "Gumbel"

    def law(self, loc: Tensor, log_scale: Tensor) -> DiagonalGumbel:
        return DiagonalGumbel(loc, log_scale)
