"""Posteriors over the points of the simplex: Dirichlet and logistic-normal."""

from __future__ import annotations

from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from nelbo.core import Space
from nelbo.distributions.normal import LogVariance
from nelbo.distributions.simplex import Dirichlet, LogisticNormal
from nelbo.errors import ConfigError
from nelbo.posteriors.amortised import Amortised
from nelbo.registry import register

LEAST = 0.2  # of a Dirichlet's concentrations: below, draws that single precision rounds to 0 are no longer rare


@register("posterior/dirichlet")
@final
class DirichletPosterior(Amortised):
    r"""q(z given x) = Dirichlet(a(x)) over the first D - 1 of D coordinates that sum to 1.

    z = g / sum_d g_d, g_d ~ Gamma(a_d, 1): a composition, with the implicit gradient of the gammas.

    Parameters
    ----------
    network
        Emits [N, D]: raw a; a = softplus(raw) + 0.2.
    dim
        D, the number of coordinates, 2 or more; the simplex itself has one dimension less.

    References
    ----------
    Joo et al. (2020), Dirichlet variational autoencoder, arXiv:1901.02739; the gradient: Figurnov, Mohamed and Mnih
    (2018), arXiv:1805.08498.
    """

    space = Space.SIMPLEX

    def __init__(self, network: nn.Module, dim: int) -> None:
        _check_coordinates("a Dirichlet", dim)
        super().__init__("a Dirichlet posterior", network, dim, self.outputs(dim))

    @classmethod
    def outputs(cls, dim: int) -> int:
        return dim

    def forward(self, x: Tensor, context: Tensor | None = None) -> Dirichlet:
        return Dirichlet((F.softplus(self.emit(x, context)) + LEAST).log())


@register("posterior/logistic-normal")
@final
class LogisticNormalPosterior(Amortised):
    r"""q(z given x): z = softmax(e_1, ..., e_{D-1}, 0), e ~ N(m(x), diag(s^2(x))), a composition.

    The density is over the first D - 1 coordinates, as a Dirichlet's is.

    Parameters
    ----------
    network
        Emits [N, 2 (D - 1)]: means, then log-variances of the log-ratios to the last coordinate.
    dim
        D, the number of coordinates, 2 or more; the simplex itself has one dimension less.
    min_log_variance
        Smooth lower bound of the log-variances.

    References
    ----------
    Aitchison and Shen (1980), Logistic-normal distributions: some properties and uses, Biometrika 67; as a posterior:
    Srivastava and Sutton (2017), Autoencoding variational inference for topic models, arXiv:1703.01488.
    """

    space = Space.SIMPLEX

    def __init__(self, network: nn.Module, dim: int, min_log_variance: float = -14.0) -> None:
        _check_coordinates("a logistic-normal", dim)
        super().__init__("a logistic-normal posterior", network, dim, self.outputs(dim))
        self.log_variance = LogVariance(min_log_variance)

    @classmethod
    def outputs(cls, dim: int) -> int:
        return 2 * (dim - 1)

    def forward(self, x: Tensor, context: Tensor | None = None) -> LogisticNormal:
        loc, raw = self.emit(x, context).chunk(2, -1)
        return LogisticNormal(loc, 0.5 * self.log_variance(raw))


def _check_coordinates(what: str, dim: int) -> None:
    if dim < 2:
        raise ConfigError(
            f"{what} posterior needs 2 coordinates or more, since they sum to 1, but {dim} was given; use e.g. "
            "--latent 10"
        )
